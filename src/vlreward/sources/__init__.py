"""Preference data in: one file a form, rows to pairs, and back to published sets."""
