"""Preference pairs about the world: what is true, what is well said, and what the text decides.

Pairs about truth come in opposites (see `scenes`), so that no text tells which answer is right.
Pairs about how something is said have one content and two qualities; there the text may tell.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, permutations

from vlreward.records import Judgment, Message, Origin, Part, PreferencePair, Prompt, Response
from vlreward.world.answers import Form, Quality, explain, forms_of, ramble, refuse, repeat, write
from vlreward.world.catalogue import FAMILIES
from vlreward.world.scenes import Answer, Difficulty, Question, Skill
from vlreward.world.style import Look
from vlreward.world.texts import TEXT_FAMILIES
from vlreward.world.topics import SPLITS, Shown, Split, Topic, check_families, draw_topics

_NUM_SIBLINGS = 3
_RAMBLING_SHARE = 0.2
_QUALITY_SHARE = 0.45
_WORSE: tuple[Quality, ...] = ("rambling", "rambling", "repeating", "off the question", "refusal")
_ALWAYS_TRUE = "The picture has a pale background."
_TRUTH = Judgment(kind="template", confidence=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question to one of the scenes of a topic."""

    shown: Shown
    question: Question


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldPair:
    """A pair and what is known of it; those without pictures have no skill and one difficulty."""

    pair: PreferencePair
    family: str
    skill: Skill | None
    difficulty: Difficulty
    chosen: Quality
    rejected: Quality
    asked: Asked | None = field(default=None, repr=False, compare=False)
    """The scene and the question behind it; None where there are no pictures."""
    opposite: Answer | None = field(default=None, repr=False, compare=False)
    """What another scene of the topic answers: plausible and wrong here."""


def make_pairs(
    *,
    num_pictures: int,
    seed: int,
    split: Split,
    look: Look = "seen",
    families: Sequence[str] = tuple(FAMILIES),
) -> Iterator[WorldPair]:
    """Pairs about at least `num_pictures` new pictures, family by family in turn, lazily.

    Pairs with one `origin.row_id` ask one thing of three scenes. The same arguments give the same
    pairs, byte for byte; splits share no picture, whatever their seeds. Raises ConfigError for an
    unknown family.
    """
    rng = random.Random(f"world {split} {seed} {look}")
    for topic in draw_topics(
        rng,
        num_pictures=num_pictures,
        split=split,
        look=look,
        num_scenes=_NUM_SIBLINGS,
        families=families,
    ):
        row = f"{look}-{seed}-{topic.number}"
        yield from _Comparisons(topic=topic, split=split, row=row).pairs(rng)


def make_text_pairs(
    *, num_pairs: int, seed: int, split: Split, families: Sequence[str] = tuple(TEXT_FAMILIES)
) -> Iterator[WorldPair]:
    """Pairs without pictures, family by family in turn, lazily; splits share no prompt.

    Raises ConfigError for an unknown family.
    """
    check_families(families, known=tuple(TEXT_FAMILIES))
    rng = random.Random(f"world text {split} {seed}")
    for number, name in zip(range(num_pairs), cycle(families), strict=False):
        task = TEXT_FAMILIES[name](rng)
        while _split_of(task.prompt) != split:
            task = TEXT_FAMILIES[name](rng)
        yield WorldPair(
            pair=PreferencePair(
                prompt=ask(task.prompt),
                chosen=_response(task.chosen, "right"),
                rejected=_response(task.rejected, "wrong"),
                judgment=_TRUTH,
                origin=_origin(name, split=split, row=f"text-{seed}-{number}"),
            ),
            family=name,
            skill=None,
            difficulty="medium",
            chosen="right",
            rejected="wrong",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Comparisons:
    """The pairs that a topic's scenes make; `row` is their origin's."""

    topic: Topic
    split: Split
    row: str

    def pairs(self, rng: random.Random) -> Iterator[WorldPair]:
        """The pairs of every question, those about truth first."""
        by_text: dict[str, list[Asked]] = {}
        for shown in self.topic.shown:
            for question in shown.scene.questions:
                by_text.setdefault(question.text, []).append(Asked(shown=shown, question=question))
        for asked in by_text.values():
            opposites = [
                (one, other)
                for one, other in permutations(asked, 2)
                if one.question.answer.value != other.question.answer.value
            ]
            yield from self._about_truth(opposites, rng)
            if opposites and rng.random() < _QUALITY_SHARE:
                yield self._about_quality(*rng.choice(opposites), rng)

    def _about_truth(
        self, opposites: Sequence[tuple[Asked, Asked]], rng: random.Random
    ) -> Iterator[WorldPair]:
        """Each scene's right answer against the other scene's, in the same words."""
        if not opposites:
            return
        forms = _draw_forms(rng, opposites[0][0].question)
        variant = rng.getrandbits(16)
        for one, other in opposites:
            right, wrong = one.question.answer, other.question.answer
            chosen = write(right, forms[0], instead=wrong, variant=variant)
            rejected = write(wrong, forms[1], instead=right, variant=variant)
            kind: Quality = "rambling" if forms[0] == "rambling" else "right"
            yield self._pair(
                one, wrong, (chosen, kind), (rejected, "wrong"), task=self.topic.family
            )

    def _about_quality(self, one: Asked, other: Asked, rng: random.Random) -> WorldPair:
        """The right answer said well, against one that is worse in another way than being wrong."""
        answer, opposite = one.question.answer, other.question.answer
        form = rng.choice(forms_of(answer))
        good = write(answer, form, instead=opposite, variant=0)
        qualities = list(_WORSE)
        if answer.steps and answer.steps != opposite.steps:
            qualities.append("wrong reasoning")
        quality = rng.choice(qualities)
        if quality == "wrong reasoning":
            good = explain(answer, conclusion=answer)
            bad = explain(opposite, conclusion=answer)
        elif quality == "rambling":
            bad = ramble(answer, first_try=opposite, variant=rng.getrandbits(16))
        elif quality == "repeating":
            bad = repeat(answer, variant=rng.getrandbits(16))
        elif quality == "off the question":
            bad = _say_something_else(one, rng)
        else:
            bad = refuse(rng.getrandbits(16))
        return self._pair(one, opposite, (good, "right"), (bad, quality), task=quality)

    def _pair(
        self,
        asked: Asked,
        opposite: Answer,
        chosen: tuple[str, Quality],
        rejected: tuple[str, Quality],
        *,
        task: str,
    ) -> WorldPair:
        question = asked.question
        return WorldPair(
            pair=PreferencePair(
                prompt=ask(*asked.shown.pictures, question.text),
                chosen=_response(*chosen),
                rejected=_response(*rejected),
                judgment=_TRUTH,
                origin=_origin(task, split=self.split, row=f"{self.row}-{question.skill}"),
            ),
            family=self.topic.family,
            skill=question.skill,
            difficulty=asked.shown.scene.difficulty,
            chosen=chosen[1],
            rejected=rejected[1],
            asked=asked,
            opposite=opposite,
        )


def _draw_forms(rng: random.Random, question: Question) -> tuple[Form, Form]:
    """In which forms right and wrong are said: mostly the same one, else either one rambles.

    Who rambles is right as often as wrong.
    """
    concise = rng.choice(forms_of(question.answer))
    if rng.random() > _RAMBLING_SHARE:
        return concise, concise
    return rng.choice((("rambling", "rambling"), ("rambling", concise), (concise, "rambling")))


def _say_something_else(asked: Asked, rng: random.Random) -> str:
    """True of the scene, but the answer to another question, or to none."""
    scene, question = asked.shown.scene, asked.question
    others = [one.answer.sentence for one in scene.questions if one.text != question.text]
    facts = [fact for fact in scene.facts if fact != question.answer.sentence]
    return rng.choice(others or facts or [_ALWAYS_TRUE])


def _split_of(prompt: str) -> Split:
    """A text prompt's split, by its hash: each of the held-out ones gets a tenth."""
    bucket = zlib.crc32(prompt.encode()) % 10
    return SPLITS[bucket] if bucket in (1, 2) else "train"


def ask(*content: Part) -> Prompt:
    """A user's only message."""
    return Prompt(messages=(Message(role="user", content=content),))


def _response(text: str, quality: Quality) -> Response:
    return Response(content=(text,), model=f"world: {quality}")


def _origin(task: str, *, split: Split, row: str) -> Origin:
    return Origin(source="world", row_id=row, task=task, split=split)
