"""Tiny models, records and reference computations that several tests share."""
