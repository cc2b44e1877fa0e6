"""What the endpoint knows of the world: what pictures show, what is asked of them, what is right.

Pictures are known by the sha-256 of their files, several by all of them in order, and questions by
their text; pairs without pictures are about no picture at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vlreward.world.answers import REFUSALS, Quality, forms_of, write
from vlreward.world.endpoint.phrases import Phrases
from vlreward.world.preferences import WorldPair
from vlreward.world.scenes import Answer

Pictures = tuple[str, ...]

RANKS: dict[Quality, int] = {
    "right": 4,
    "rambling": 3,
    "repeating": 3,
    "wrong reasoning": 2,
    "off the question": 1,
    "refusal": 1,
    "wrong": 1,
}
"""How good each quality is: of two answers, the one of the higher rank is better."""


FIELDS = ("mathematics", "other")
"""The fields of study that the world's questions are of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """One content of an answer in its concise forms."""

    short: tuple[str, ...]
    """Without reasons."""
    explained: tuple[str, ...] = ()
    """With reasons, where there are any."""
    steps: tuple[str, ...] = ()
    """The reasons."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All forms."""
        return self.short + self.explained


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A question about a subject, and what is known to answer it."""

    text: str
    right: Solution
    wrong: tuple[Solution, ...]
    """Plausible and wrong ones; there may be none."""
    qualities: Mapping[str, Quality]
    """Every known answer's text with its quality."""
    field: str
    """The field of study: mathematics where one has to count or compute, else other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Pictures that are shown together, all that can be seen in them, and questions to them.

    The subject of questions without pictures has neither pictures nor facts.
    """

    pictures: Pictures
    facts: tuple[str, ...]
    problems: Mapping[str, Problem]
    """By the question's text."""
    questions: Phrases = field(repr=False, compare=False)


class AskedAbout(NamedTuple):
    """A problem found in a request; what follows the question begins at `end`."""

    subject: Subject
    problem: Problem
    end: int


class Told(NamedTuple):
    """A problem found with facts about its subject; `share` of these were told."""

    subject: Subject
    problem: Problem
    share: float


class WorldTruth:
    """An index of what pairs of the world are about; building it reads all of them."""

    def __init__(self, pairs: Iterable[WorldPair]) -> None:
        by_subject: dict[Pictures, dict[str, list[WorldPair]]] = {}
        for one in pairs:
            pictures = tuple(picture.sha256 for picture in one.pair.prompt.pictures)
            problems = by_subject.setdefault(pictures, {})
            problems.setdefault(_question(one), []).append(one)
        self._subjects = {key: _subject(key, problems) for key, problems in by_subject.items()}
        self._by_question: dict[str, list[Subject]] = {}
        for subject in self._subjects.values():
            for text in subject.problems:
                self._by_question.setdefault(text, []).append(subject)
        self._questions = Phrases(self._by_question)
        self._facts = Phrases(fact for one in self._subjects.values() for fact in one.facts)

    @property
    def num_pictures(self) -> int:
        """Distinct pictures that are known."""
        return len({picture for pictures in self._subjects for picture in pictures})

    def shown(self, pictures: Pictures) -> Subject | None:
        """What these pictures show, in this order; None if they are not known together."""
        return self._subjects.get(pictures)

    def find(self, pictures: Pictures, text: str) -> AskedAbout | None:
        """What the text asks about the pictures: the longest known question that occurs in it."""
        subject = self.shown(pictures)
        found = None if subject is None else subject.questions.longest(text)
        if subject is None or found is None:
            return None
        return AskedAbout(subject, subject.problems[found.phrase], found.end)

    def read(self, text: str) -> Told | None:
        """What the text asks about what it describes: the subject that its facts fit best.

        None if it holds no known question, or no fact about anything of which that is asked.
        """
        asked = self._questions.longest(text)
        if asked is None:
            return None
        told = {found.phrase for found in self._facts.find(text)}
        fits = [(_fit(one.facts, told), one) for one in self._by_question[asked.phrase]]
        (share, _), subject = max(fits, key=lambda fit: fit[0])
        return Told(subject, subject.problems[asked.phrase], share) if share > 0 else None

    def siblings(self, subject: Subject) -> Sequence[Subject]:
        """Those that show something else and of which this one's first question is asked too."""
        asked = self._by_question[next(iter(subject.problems))]
        return [one for one in asked if one.facts != subject.facts]


def _fit(facts: tuple[str, ...], told: set[str]) -> tuple[float, int]:
    """Which share of the facts was told, and how many; of nothing, everything is told."""
    count = sum(fact in told for fact in facts)
    return (count / len(facts) if facts else 1.0), count


def _question(one: WorldPair) -> str:
    return "".join(part for part in one.pair.prompt.messages[-1].content if isinstance(part, str))


def _subject(pictures: Pictures, by_question: Mapping[str, Sequence[WorldPair]]) -> Subject:
    first = next(iter(by_question.values()))[0]
    return Subject(
        pictures=pictures,
        facts=first.asked.shown.scene.facts if first.asked else (),
        problems={text: _problem(text, pairs) for text, pairs in by_question.items()},
        questions=Phrases(by_question),
    )


def _problem(text: str, pairs: Sequence[WorldPair]) -> Problem:
    asked = pairs[0].asked
    if asked is None:
        right = Solution(short=tuple(dict.fromkeys(one.pair.chosen.text for one in pairs)))
        texts = dict.fromkeys(one.pair.rejected.text for one in pairs)
        wrong = tuple(Solution(short=(rejected,)) for rejected in texts)
    else:
        right = _solution(asked.question.answer)
        opposites = dict.fromkeys(one.opposite for one in pairs if one.opposite)
        wrong = tuple(map(_solution, opposites))
    return Problem(
        text=text,
        right=right,
        wrong=wrong,
        qualities=_qualities(right, wrong, pairs),
        field=_field(pairs[0]),
    )


def _field(pair: WorldPair) -> str:
    computes = pair.skill in ("counting", "arithmetic") or pair.family == "text arithmetic"
    return FIELDS[0] if computes else FIELDS[1]


def _solution(answer: Answer) -> Solution:
    texts = {form: write(answer, form, instead=answer, variant=0) for form in forms_of(answer)}
    return Solution(
        short=tuple(text for form, text in texts.items() if form != "explained"),
        explained=tuple(text for form, text in texts.items() if form == "explained"),
        steps=answer.steps,
    )


def _qualities(
    right: Solution, wrong: Sequence[Solution], pairs: Sequence[WorldPair]
) -> dict[str, Quality]:
    """Of every known answer; what is right stays so, whatever else it occurs as."""
    known: dict[str, Quality] = {text: "refusal" for text in REFUSALS}
    known.update({text: "wrong" for one in wrong for text in one.texts})
    for one in pairs:
        known.update({one.pair.rejected.text: one.rejected, one.pair.chosen.text: one.chosen})
    known.update({text: "right" for text in right.texts})
    return known
