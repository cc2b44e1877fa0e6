"""The words of a text as comparisons read them: numbers, negations, stop words, and what is left.

Whoever compares texts needs to know which words are stop words here, which exclude each other
however often they stand in one place ("red", "blue"), and which are the same with a typing error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
}
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_NUMBER_WORDS)})\b", re.IGNORECASE)
_NEGATIONS = frozenset("not no never none nothing nobody neither nor without cannot".split())
_STOP_WORDS = frozenset(
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

_EXCLUSIVE = (
    "red orange yellow green blue purple|violet pink brown black white grey|gray",
    "monday tuesday wednesday thursday friday saturday sunday",
    "january february march april june july august september october november december",
    "first second third fourth fifth sixth seventh eighth ninth tenth last|final",
    "north south east west",
    "left|leftmost right|rightmost",
    "above|over|up|top|upper|topmost below|under|down|bottom|lower|beneath|underneath",
    "inside|within outside",
    "before|earlier|earliest|previous after|later|latest|next",
    "large|larger|largest|big|bigger|biggest|great|greater|greatest|maximum|maximal|most|more|"
    "long|longer|longest|high|higher|highest|tall|taller|tallest|wide|wider|widest|broad "
    "small|smaller|smallest|little|tiny|tiniest|minimum|minimal|least|less|fewer|fewest|"
    "short|shorter|shortest|low|lowest|narrow|narrower|narrowest",
    "good|better|best bad|worse|worst",
    "new|newer|newest|young|younger|youngest old|older|oldest",
    "fast|faster|fastest|quick|quickly slow|slower|slowest|slowly",
    "hot|hotter|hottest|warm|warmer cold|colder|coldest|cool|cooler",
    "light|lighter|lightest|bright|brighter|brightest dark|darker|darkest",
    "strong|stronger|strongest weak|weaker|weakest",
    "rise|rises|rising|increase|increases|increasing|increased|grow|grows "
    "fall|falls|falling|decrease|decreases|decreasing|decreased|shrink|shrinks",
    "ascending descending",
    "true|yes false",
    "right|correct wrong|false",
    "buy|buys|purchase sell|sells",
    "open|opens|opened close|closes|closed|shut",
    "begin|begins|start|starts end|ends|stop|stops|finish",
    "add|adds|addition|plus subtract|subtracts|subtraction|minus",
    "multiply|multiplication divide|division",
    "even odd",
    "positive negative",
    "horizontal|horizontally vertical|vertically",
    "advantage|advantages|pros|benefit|benefits disadvantage|disadvantages|cons|drawback|drawbacks",
    "man|men|male|boy|boys woman|women|female|girl|girls",
    "father mother",
    "brother sister",
    "noun verb adjective adverb pronoun",
    "word sentence paragraph essay",
    "cat dog horse cow bird fish",
)
"""Words of which each excludes the others of its line; `|` joins those that do not. Vectors put
them near each other, since they stand in the same places."""


def _places() -> dict[str, dict[int, int]]:
    """By word the lines that it is in, and its place in each."""
    places: dict[str, dict[int, int]] = {}
    for number, line in enumerate(_EXCLUSIVE):
        for at, alternatives in enumerate(line.split()):
            for word in alternatives.split("|"):
                places.setdefault(word, {})[number] = at
    return places


_PLACES = _places()

_OPPOSING = ("un", "in", "im", "il", "ir", "dis", "non", "mis")

_NO_SPACES = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Letters of scripts that put no spaces between words: each is a word of its own here."""
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[{_NO_SPACES}]|[^\W\d_{_NO_SPACES}]+(?:['’][^\W\d_]+)?")
_LAYOUT = re.compile(
    r"^[^\S\n]*(?:(?:[-*+>]|#{1,6})[^\S\n]+)+|\*\*|__|`+|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)",
    re.MULTILINE,
)
"""Markdown: headings, lists, quotations, emphasis, code."""
_ASCII_SIGNS = frozenset("%&@#/\\^*_[]{}")
"""Signs that Unicode counts as punctuation."""
_BESIDE_FIGURES = re.compile(r"-(?=\s*\d)|(?<=\d)!|\((?=\d)|(?<=\d)\)")
"""A minus, a factorial, and round brackets of a calculation."""
_SHORT_FORMS = {"can't": "cannot", "won't": "will not", "shan't": "shall not", "let's": "let us"}
_ENDINGS = (
    ("ies", "y"),
    ("sses", "ss"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("xes", "x"),
    ("zzes", "zz"),
    ("ss", "ss"),
    ("ing", ""),
    ("ed", ""),
    ("s", ""),
)
"""The first that a word has is exchanged."""
MIN_STEM = 3
"""Letters of the shortest stem: what is shorter says too little by itself."""
_MIN_TYPO_LENGTH = 7
_KNOWN_BY_HEART = tuple(
    sorted(
        word
        for word in {*_NUMBER_WORDS, *_NEGATIONS, *_STOP_WORDS}
        if len(word) >= _MIN_TYPO_LENGTH
    )
)


def must_agree(text: str) -> tuple[tuple[str, ...], int, str]:
    """The text's numbers in figures, sorted, how many negations it has, and its signs in order."""
    words = _words(text)
    numbers = sorted(word for word in words if word[0].isdigit())
    return tuple(numbers), sum(word in _NEGATIONS for word in words), _signs(text)


def content_words(text: str) -> list[str]:
    """The words that say something, numbers in figures, in their order: lower case."""
    return [word for word in _words(text) if word not in _STOP_WORDS and word not in _NEGATIONS]


def in_figures(text: str) -> str:
    """The text, its number words in figures."""
    return _NUMBER_WORD.sub(lambda found: _NUMBER_WORDS[found[0].lower()], text)


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """The word without its commonest endings."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending):
            rest = word[: len(word) - len(ending)] + instead
            return rest if len(rest) >= MIN_STEM else word
    return word


def exclude_each_other(one: str, other: str) -> bool:
    """Whether two words stand for different values of one thing, or for opposites."""
    short, long = sorted((one, other), key=len)
    if any(long == prefix + short for prefix in _OPPOSING):
        return True
    places = _PLACES.get(one, {})
    return any(places.get(line, at) != at for line, at in _PLACES.get(other, {}).items())


def is_typo(one: str, other: str) -> bool:
    """Whether two longer words differ by a letter added, left out, or changed with its neighbour.

    A letter exchanged for another makes another word too easily ("right", "light"), and so does one
    left out of a word of seven letters, unless it stood twice ("country", "county"; "mising").
    """
    short, long = sorted((one, other), key=len)
    if len(long) < _MIN_TYPO_LENGTH or len(long) - len(short) > 1:
        return False
    if len(short) < len(long):
        return any(
            long[:at] + long[at + 1 :] == short
            for at in range(1, len(long))
            if len(short) >= _MIN_TYPO_LENGTH or long[at] == long[at - 1]
        )
    places = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(places) != 2 or places[1] != places[0] + 1:
        return False
    at = places[0]
    return one[at] == other[at + 1] and one[at + 1] == other[at]


def _signs(text: str) -> str:
    """Operators, currencies, brackets, emoji and the like, in order; marks of layout left out.

    A hyphen is one where a figure follows: a minus. An exclamation mark is one after a figure, and
    a round bracket beside one.
    """
    plain = _LAYOUT.sub(" ", in_figures(text))
    beside_figures = {found.start() for found in _BESIDE_FIGURES.finditer(plain)}
    return "".join(
        sign
        for at, sign in enumerate(plain)
        if sign in _ASCII_SIGNS or _is_sign(sign) or at in beside_figures
    )


@lru_cache(maxsize=2**12)
def _is_sign(character: str) -> bool:
    """Whether it is a sign of mathematics, a currency, or another symbol."""
    return unicodedata.category(character) in ("Sm", "Sc", "So")


def _words(text: str) -> list[str]:
    """Lower-case words and numbers, short forms written out, number words in figures."""
    words: list[str] = []
    for token in _TOKEN.findall(text.lower().replace("’", "'")):
        words += _written_out(token)
    return words


@lru_cache(maxsize=2**16)
def _written_out(token: str) -> tuple[str, ...]:
    """The words of a token, as `_words` gives them."""
    full = _SHORT_FORMS.get(token, token)
    if full.endswith("n't"):
        full = f"{full[:-3]} not"
    return tuple(_read(word.partition("'")[0]) for word in full.split())


def _read(word: str) -> str:
    """The word, or the one that is known by heart and misspelled here; numbers in figures."""
    meant = next(_misspelled(word), word)
    return _NUMBER_WORDS.get(meant, meant.replace(",", ""))


def _misspelled(word: str) -> Iterator[str]:
    """The words known by heart that this one is, with a letter left out or two exchanged."""
    if word not in _STOP_WORDS and len(word) >= _MIN_TYPO_LENGTH:
        for known in _KNOWN_BY_HEART:
            if len(known) >= len(word) and is_typo(word, known):
                yield known
