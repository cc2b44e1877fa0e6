"""What the base model learns from: everything that is seen, said, and short questions answered."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vlreward.records import Demonstration, Response
from vlreward.world.answers import Form, forms_of, write
from vlreward.world.canvas import Mark
from vlreward.world.catalogue import FAMILIES
from vlreward.world.preferences import ask, make_text_pairs
from vlreward.world.scenes import Question, Skill
from vlreward.world.style import Look
from vlreward.world.texts import TEXT_FAMILIES
from vlreward.world.topics import Shown, Split, draw_topics

Kind = Form | Literal["description", "text"]

_HINTS: dict[Form, str] = {
    "value": "Answer with a word or a number.",
    "sentence": "Answer in a sentence.",
    "explained": "Explain your answer.",
}
_HINT_SHARE = 0.75
_DESCRIBE = ("Describe the picture.", "What can be seen? Say everything.", "Describe all you see.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """A demonstration of the world; `kind` says how the answer is to be given."""

    demonstration: Demonstration
    family: str
    kind: Kind
    skill: Skill | None = None
    """What a question asks for."""
    marks: tuple[tuple[Mark, ...], ...] = ()
    """What is drawn where in each of its pictures."""


def make_lessons(
    *,
    num_pictures: int,
    seed: int,
    split: Split,
    look: Look = "seen",
    families: Sequence[str] = tuple(FAMILIES),
    num_questions: int = 1,
) -> Iterator[Lesson]:
    """Descriptions of at least `num_pictures` new pictures and some questions to each, lazily.

    The pictures are those of no preference pair. The same arguments give the same lessons.
    """
    rng = random.Random(f"lessons {split} {seed} {look}")
    for topic in draw_topics(
        rng, num_pictures=num_pictures, split=split, look=look, families=families
    ):
        [shown] = topic.shown
        yield _description(shown, rng, family=topic.family)
        questions = shown.scene.questions
        for question in rng.sample(questions, min(num_questions, len(questions))):
            form = rng.choice(forms_of(question.answer))
            hint = _HINTS[form] if rng.random() < _HINT_SHARE else None
            yield _lesson(shown, question, form, hint=hint, family=topic.family)


def make_text_lessons(
    *, num_lessons: int, seed: int, split: Split, families: Sequence[str] = tuple(TEXT_FAMILIES)
) -> Iterator[Lesson]:
    """The good answers to tasks without pictures, lazily."""
    for world_pair in make_text_pairs(
        num_pairs=num_lessons, seed=seed, split=split, families=families
    ):
        pair = world_pair.pair
        shown = Demonstration(prompt=pair.prompt, response=pair.chosen)
        yield Lesson(demonstration=shown, family=world_pair.family, kind="text")


def make_exam(
    *, num_pictures: int, seed: int, split: Split, look: Look = "seen"
) -> Iterator[Lesson]:
    """Every question of new pictures, its bare answer asked for: one answer alone is right."""
    rng = random.Random(f"exam {split} {seed} {look}")
    for topic in draw_topics(rng, num_pictures=num_pictures, split=split, look=look):
        [shown] = topic.shown
        for question in shown.scene.questions:
            yield _lesson(shown, question, "value", hint=_HINTS["value"], family=topic.family)


def _description(shown: Shown, rng: random.Random, *, family: str) -> Lesson:
    said = " ".join(shown.scene.facts)
    return _shown_lesson(shown, rng.choice(_DESCRIBE), said, family=family, kind="description")


def _lesson(
    shown: Shown, question: Question, form: Form, *, hint: str | None, family: str
) -> Lesson:
    text = question.text if hint is None else f"{question.text} {hint}"
    said = write(question.answer, form, instead=question.answer, variant=0)
    return _shown_lesson(shown, text, said, family=family, kind=form, skill=question.skill)


def _shown_lesson(
    shown: Shown, text: str, said: str, *, family: str, kind: Kind, skill: Skill | None = None
) -> Lesson:
    return Lesson(
        demonstration=Demonstration(
            prompt=ask(*shown.pictures, text), response=Response(content=(said,))
        ),
        family=family,
        kind=kind,
        skill=skill,
        marks=tuple(painting.marks for painting in shown.scene.paintings),
    )
