"""The miniature world: pictures with known truth, and a tokenizer small enough to package."""
