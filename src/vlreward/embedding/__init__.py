"""Vectors of texts and fingerprints of pictures that lie near each other when they are alike."""
