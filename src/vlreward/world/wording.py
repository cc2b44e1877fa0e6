"""Small English: articles, plurals of numbers, lists."""

from __future__ import annotations

from collections.abc import Sequence


def with_article(words: str) -> str:
    """`a` or `an` before the words, by their first letter."""
    return f"{'an' if words[0] in 'aeiouAEIOU' else 'a'} {words}"


def sentence(words: str) -> str:
    """The words with a capital at their start and a full stop at their end."""
    return f"{words[0].upper()}{words[1:]}."


def listed(words: Sequence[str]) -> str:
    """One, two and three."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def number_of(count: int, singular: str, plural: str) -> str:
    """1 row, 2 rows."""
    return f"{count} {singular if count == 1 else plural}"
