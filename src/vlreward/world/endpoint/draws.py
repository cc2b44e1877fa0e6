"""Chance that repeats: what is drawn depends on a key alone, in every process and thread."""

from __future__ import annotations

import random


def draw(*key: object) -> random.Random:
    """A generator for the key, whose parts are told apart by their `repr`."""
    return random.Random(repr(key))
