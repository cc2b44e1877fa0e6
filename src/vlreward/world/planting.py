"""Faults planted into pairs of the world: wrong labels, weak chosen answers, doubles, ties.

What a curation should find is known row by row, so its recall can be measured.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from vlreward.errors import require
from vlreward.records import Judgment, Origin, Part, PreferencePair, Response
from vlreward.world.answers import Quality, forms_of, ramble, write
from vlreward.world.paraphrases import KINDS
from vlreward.world.preferences import WorldPair

Fault = Literal["none", "noise", "weak", "tie", "identical", "swapped", "paraphrase"]
"""Of a row: its label is wrong; its chosen answer is weak; both answers are as good; it repeats
another row, with its answers exchanged, or in other words."""

_UNJUDGED = Judgment(kind="unknown")
_TIED = Judgment(kind="human", confidence=0.5, margin=0.0)
ORIGINAL, COPIES = "world", "world-copies"
"""The sources of rows, and of doubles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultShares:
    """How many of the rows have which fault; doubles come on top, in another source."""

    noise: float = 0.20
    weak: float = 0.20
    ties: float = 0.05
    doubles: float = 0.15

    def __post_init__(self) -> None:
        for one in fields(self):
            share = getattr(self, one.name)
            require(0 <= share <= 1, place=one.name, value=share, expected="a share in [0, 1]")
        total = self.noise + self.weak + self.ties
        require(total <= 1, place="noise + weak + ties", value=total, expected="at most 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedPair:
    """A row of the set with its fault; `known` says what its answers are, for a judge to know."""

    pair: PreferencePair
    fault: Fault
    known: WorldPair


def plant(pairs: Iterable[WorldPair], *, shares: FaultShares, seed: int) -> Iterator[PlantedPair]:
    """The pairs, some with faults, then the doubles of some; the same for the same seed.

    No row says who judged it, but for ties. Weak answers are planted where pictures are asked
    about: half of them ramble, half are as wrong as the rejected ones.
    """
    rng = random.Random(f"faults {seed}")
    rows = [_planted(one, number, shares, rng) for number, one in enumerate(pairs)]
    yield from rows
    for row in rng.sample(rows, round(shares.doubles * len(rows))):
        yield _double(row, rng)


def _planted(one: WorldPair, number: int, shares: FaultShares, rng: random.Random) -> PlantedPair:
    draw = rng.random()
    fault: Fault = "none"
    if draw < shares.noise:
        fault = "noise"
    elif draw < shares.noise + shares.weak and one.asked and one.opposite:
        fault, one = "weak", _weakened(one, rng)
    elif draw < shares.noise + shares.weak + shares.ties and one.asked:
        tied = _tied(one, rng)
        if tied is not None:
            fault, one = "tie", tied
    pair = one.pair.swapped() if fault == "noise" else one.pair
    place = f"{ORIGINAL}:{number}"
    pair = replace(
        pair,
        judgment=_TIED if fault == "tie" else _UNJUDGED,
        origin=Origin(source=ORIGINAL, row_id=str(number), task=one.family, place=place),
    )
    return PlantedPair(pair=pair, fault=fault, known=one)


def _weakened(one: WorldPair, rng: random.Random) -> WorldPair:
    """The pair with a chosen answer that rambles, or one that is wrong too."""
    assert one.asked is not None and one.opposite is not None, "weak answers are about pictures"
    right, wrong = one.asked.question.answer, one.opposite
    variant = rng.getrandbits(16)
    quality: Quality = rng.choice(("rambling", "wrong"))
    meant, first_try = (right, wrong) if quality == "rambling" else (wrong, right)
    said = ramble(meant, first_try=first_try, variant=variant)
    while said == one.pair.rejected.text:  # it rambles, too, and in these very words
        variant += 1
        said = ramble(meant, first_try=first_try, variant=variant)
    return _with_answers(one, chosen=(said, quality), rejected=None)


def _tied(one: WorldPair, rng: random.Random) -> WorldPair | None:
    """The pair with both answers right, in different words; None if there is one wording."""
    assert one.asked is not None, "ties are about pictures"
    right = one.asked.question.answer
    forms = forms_of(right)
    if len(forms) < 2:
        return None
    said = [write(right, form, instead=right, variant=0) for form in rng.sample(forms, 2)]
    if said[0] == said[1]:
        return None
    return _with_answers(one, chosen=(said[0], "right"), rejected=(said[1], "right"))


def _with_answers(
    one: WorldPair, *, chosen: tuple[str, Quality], rejected: tuple[str, Quality] | None
) -> WorldPair:
    other = rejected or (one.pair.rejected.text, one.rejected)
    return replace(
        one,
        pair=replace(one.pair, chosen=_said(*chosen), rejected=_said(*other)),
        chosen=chosen[1],
        rejected=other[1],
    )


def _said(text: str, quality: Quality) -> Response:
    return Response(content=(text,), model=f"world: {quality}")


def _double(row: PlantedPair, rng: random.Random) -> PlantedPair:
    kinds: Sequence[Fault] = ("identical", "swapped", "paraphrase")
    fault = rng.choice(kinds)
    pair = row.pair
    if fault == "swapped":
        pair = pair.swapped()
    elif fault == "paraphrase":
        pair, fault = _in_other_words(pair, rng)
    place = f"{COPIES}:{row.pair.origin.row_id}"
    origin = replace(row.pair.origin, source=COPIES, place=place)
    return replace(row, pair=replace(pair, origin=origin), fault=fault)


def _in_other_words(pair: PreferencePair, rng: random.Random) -> tuple[PreferencePair, Fault]:
    """The pair with its question in other words; the same where no rule applies to it."""
    last = pair.prompt.messages[-1]
    for kind in rng.sample(list(KINDS), len(KINDS)):
        content: tuple[Part, ...] = tuple(
            KINDS[kind](part, rng) if isinstance(part, str) else part for part in last.content
        )
        if content != last.content:
            messages = (*pair.prompt.messages[:-1], replace(last, content=content))
            return replace(pair, prompt=replace(pair.prompt, messages=messages)), "paraphrase"
    return pair, "identical"
