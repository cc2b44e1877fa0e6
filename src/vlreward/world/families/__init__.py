"""Kinds of pictures: each family draws scenes of one kind and asks about them."""
