"""When two texts ask or say the same: what may differ between them, and what must not.

Vectors call "the red circle" and "the blue circle" near. So whoever drops a text for being like
another one looks at the words in which they differ: numbers and negations must agree, and every
other word needs a counterpart, unless it is a stop word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence

import numpy as np
import numpy.typing as npt

from vlreward.curation.wording import MIN_STEM, content_words, exclude_each_other, is_typo, stem

EmbedWords = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Unit vectors [words, dimensions]."""


def are_paraphrases(
    one: str,
    other: str,
    *,
    embed_words: EmbedWords,
    min_similarity: float,
    fixed: Container[str] = (),
) -> bool:
    """Whether two texts have the same words in the same order, stop words left out.

    A word may stand for another if it is the same in another form, has a typing error, or means
    nearly the same: at least `min_similarity` (cosine), unless the two exclude each other or the
    stem of one is `fixed`. What one text says first, the other may say last.
    """
    first, second = (content_words(text) for text in (one, other))
    stems = tuple(list(map(stem, words)) for words in (first, second))
    left, right = _left_over(first, second)
    if len(left) != len(right):
        return False
    turned = stems[1]
    if left:
        near = _nearness(left, right, embed_words=embed_words, fixed=fixed)
        instead = _counterparts(left, right, near=near, low=min_similarity)
        if instead is None:
            return False
        turned = [instead[one].pop() if instead.get(one) else one for one in stems[1]]
    return _is_turned(stems[0], turned)


def _left_over(first: Sequence[str], second: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of either text that the other has not, or has less often, in any form."""
    left, right = _more_often(first, than=second), _more_often(second, than=first)
    stems = [list(map(stem, words)) for words in (left, right)]
    return _more_often(left, than=stems[1], form=stem), _more_often(right, than=stems[0], form=stem)


def _more_often(
    words: Sequence[str], *, than: Sequence[str], form: Callable[[str], str] = str
) -> list[str]:
    """The words whose form is in `than` less often, as often as it is less."""
    others = Counter(than)
    left = []
    for word in words:
        others[form(word)] -= 1
        if others[form(word)] < 0:
            left.append(word)
    return left


def _nearness(
    left: Sequence[str], right: Sequence[str], *, embed_words: EmbedWords, fixed: Container[str]
) -> npt.NDArray[np.float32]:
    """How well words [left, right] may stand for each other: 1 if they are spelled nearly alike."""
    near = embed_words(left) @ embed_words(right).T
    for row, one in enumerate(left):
        for column, other in enumerate(right):
            stems = (stem(one), stem(other))
            if is_typo(one, other) or is_typo(*stems):
                near[row, column] = 1
            elif (
                min(map(len, stems)) < MIN_STEM
                or any(each in fixed for each in stems)
                or exclude_each_other(one, other)
            ):
                near[row, column] = -1
    return near


def _counterparts(
    left: Sequence[str], right: Sequence[str], *, near: npt.NDArray[np.float32], low: float
) -> dict[str, list[str]] | None:
    """For each stem of the right the stems of the left that it stands for, nearest pairs first.

    None where a word has no counterpart of its own.
    """
    near = near.copy()
    instead: dict[str, list[str]] = {}
    for _ in left:
        row, column = map(int, np.unravel_index(near.argmax(), near.shape))
        if near[row, column] < low:
            return None
        instead.setdefault(stem(right[column]), []).append(stem(left[row]))
        near[row, :], near[:, column] = -1, -1
    return instead


def _is_turned(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether the sequences are equal, or one is the other with its end put in front."""
    if first == second:
        return True
    doubled = [*first, *first]
    return any(doubled[start : start + len(second)] == second for start in range(1, len(first)))
