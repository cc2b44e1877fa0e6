"""When two texts ask or say the same: what may differ between them, and what must not.

Vectors call "the red circle" and "the blue circle" near. So whoever drops a text for being like
another one looks at the words in which they differ: numbers and negations must agree, and every
other word needs a counterpart, unless it is one that only polishes a sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Sequence

import numpy as np
import numpy.typing as npt

EmbedWords = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Unit vectors [words, dimensions]."""

_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
}
_NEGATIONS = frozenset("not no never none nothing nobody neither nor without cannot".split())
_POLISH = frozenset(
    (
        "a an the this that these those it its there here of in on at to for from by with as and "
        "or but so then if is are was were be been being am do does did doing has have had having "
        "will would shall should can could might must what which who whom whose when where why "
        "how many much i me my we us our you your he she they them their "
        "please kindly just tell let know say state give provide answer question following "
        "carefully briefly want like wonder help number amount count total hi hello hey thanks "
        "thank look see shown displayed visible present picture image photo figure exactly okay ok "
        "well now also very really quite simply"
    ).split()
)
"""Words that may come and go: function words, politeness, and ways to begin a question."""

_NO_SPACES = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Letters of scripts that put no spaces between words: each is a word of its own here."""
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[{_NO_SPACES}]|[^\W\d_{_NO_SPACES}]+(?:['’][^\W\d_]+)?")
_SHORT_FORMS = {"can't": "cannot", "won't": "will not", "shan't": "shall not", "let's": "let us"}
_ENDINGS = (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""))
_MIN_STEM = 3
_MIN_TYPO_LENGTH = 7


def must_agree(text: str) -> tuple[tuple[str, ...], int]:
    """The text's numbers in figures, sorted, and how many negations it has."""
    words = _words(text)
    numbers = sorted(word for word in words if word[0].isdigit())
    return tuple(numbers), sum(word in _NEGATIONS for word in words)


def content_words(text: str) -> list[str]:
    """The words that say something, numbers in figures, in their order: lower case, no endings."""
    return [_stem(word) for word in _content_words(text)]


def say_the_same(
    one: str,
    other: str,
    *,
    embed_words: EmbedWords,
    min_similarity: float,
    fixed: Container[str] = (),
) -> bool:
    """Whether two texts have the same words in the same order, what only polishes them left out.

    A word may stand for another if it is the same in another form, has a typing error, or means
    nearly the same: at least `min_similarity` (cosine), if neither of them is one of the `fixed`
    content words. What one text says first, the other may say last.
    """
    first, second = (_content_words(text) for text in (one, other))
    stems = tuple(list(map(_stem, words)) for words in (first, second))
    left = _more_often(first, than=stems[1])
    right = _more_often(second, than=stems[0])
    if len(left) != len(right):
        return False
    turned = stems[1]
    if left:
        near = _nearness(left, right, embed_words=embed_words, fixed=fixed)
        instead = _counterparts(left, right, near=near, low=min_similarity)
        if instead is None:
            return False
        turned = [instead[stem].pop() if instead.get(stem) else stem for stem in stems[1]]
    return _is_turned(stems[0], turned)


def _more_often(words: Sequence[str], *, than: Sequence[str]) -> list[str]:
    """The words whose stem the other text has less often, as often as it is less."""
    others = Counter(than)
    left = []
    for word in words:
        stem = _stem(word)
        others[stem] -= 1
        if others[stem] < 0:
            left.append(word)
    return left


def _nearness(
    left: Sequence[str], right: Sequence[str], *, embed_words: EmbedWords, fixed: Container[str]
) -> npt.NDArray[np.float32]:
    """How well words [left, right] may stand for each other: 1 if they are spelled nearly alike."""
    near = embed_words(left) @ embed_words(right).T
    for row, one in enumerate(left):
        for column, other in enumerate(right):
            stems = (_stem(one), _stem(other))
            if any(stem in fixed or len(stem) < _MIN_STEM for stem in stems):
                near[row, column] = -1
            elif _is_typo(one, other) or _is_typo(*stems):
                near[row, column] = 1
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
        instead.setdefault(_stem(right[column]), []).append(_stem(left[row]))
        near[row, :], near[:, column] = -1, -1
    return instead


def _is_turned(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether the sequences are equal, or one is the other with its end put in front."""
    if first == second:
        return True
    doubled = [*first, *first]
    return any(doubled[start : start + len(second)] == second for start in range(1, len(first)))


def _words(text: str) -> list[str]:
    """Lower-case words and numbers, short forms written out, number words in figures."""
    words: list[str] = []
    for token in _TOKEN.findall(text.lower().replace("’", "'")):
        full = _SHORT_FORMS.get(token, token)
        if full.endswith("n't"):
            full = f"{full[:-3]} not"
        for word in full.split():
            stem, _, _ = word.partition("'")
            words.append(_NUMBER_WORDS.get(stem, stem.replace(",", "")))
    return words


def _content_words(text: str) -> list[str]:
    return [word for word in _words(text) if word not in _POLISH and word not in _NEGATIONS]


def _stem(word: str) -> str:
    """The word without its commonest endings."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word[: len(word) - len(ending)] + instead
    return word


def _is_typo(one: str, other: str) -> bool:
    """Whether two longer words differ by a letter added, left out, or changed with its neighbour.

    A letter exchanged for another makes another word too easily ("right", "light").
    """
    short, long = sorted((one, other), key=len)
    if len(short) < _MIN_TYPO_LENGTH or len(long) - len(short) > 1:
        return False
    if len(short) < len(long):
        return any(long[:at] + long[at + 1 :] == short for at in range(1, len(long)))
    places = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(places) != 2 or places[1] != places[0] + 1:
        return False
    at = places[0]
    return one[at] == other[at + 1] and one[at + 1] == other[at]
