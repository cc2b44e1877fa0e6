"""The reward network: a transformers backbone without its LM head, and one scalar a response."""
