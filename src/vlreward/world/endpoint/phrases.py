"""Finding known texts in a longer one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Found(NamedTuple):
    """A known text and where it begins and ends in another."""

    phrase: str
    start: int
    end: int


class Phrases:
    """Known texts, found by their first characters, so that many of them cost little."""

    def __init__(self, phrases: Iterable[str]) -> None:
        known = set(phrases) - {""}
        self._prefix_length = min(map(len, known), default=1)
        self._by_prefix: dict[str, list[str]] = {}
        for phrase in sorted(known):
            self._by_prefix.setdefault(phrase[: self._prefix_length], []).append(phrase)

    def find(self, text: str, *, start: int = 0) -> list[Found]:
        """All that occur from `start` on and cut no word, in reading order.

        Where two overlap, the longer one counts; of two as long, the first.
        """
        matches = [
            Found(phrase, at, at + len(phrase))
            for at in range(start, len(text))
            for phrase in self._by_prefix.get(text[at : at + self._prefix_length], ())
            if text.startswith(phrase, at) and _cuts_no_word(text, at, at + len(phrase))
        ]
        taken: list[Found] = []
        is_covered = bytearray(len(text))
        for match in sorted(matches, key=lambda one: (one.start - one.end, one.start)):
            if not any(is_covered[match.start : match.end]):
                is_covered[match.start : match.end] = b"\1" * len(match.phrase)
                taken.append(match)
        return sorted(taken, key=lambda one: one.start)

    def longest(self, text: str) -> Found | None:
        """The longest that occurs, the first of several; None if none does."""
        return max(self.find(text), key=lambda one: len(one.phrase), default=None)


def _cuts_no_word(text: str, start: int, end: int) -> bool:
    return not any(
        0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum() for at in (start, end)
    )
