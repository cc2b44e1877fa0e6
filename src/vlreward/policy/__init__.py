"""Training policies with a reward model."""
