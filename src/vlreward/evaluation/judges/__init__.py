"""Language models as judges: which of two answers is better, or how good each one is."""
