"""Calls to language models: asked once, written down before use, never above the budget."""
