"""What the base model learns from: everything that is seen, said, and short questions answered."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from vlreward.pictures import admit
from vlreward.records import Demonstration, Message, Part, Prompt, Response
from vlreward.world.answers import Form, forms_of, write
from vlreward.world.catalogue import FAMILIES
from vlreward.world.preferences import SPLITS, Split, make_text_pairs
from vlreward.world.scenes import Scene
from vlreward.world.style import Look, draw_style
from vlreward.world.texts import TEXT_FAMILIES

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
    num_drawn = 0
    for name in cycle(families):
        if num_drawn >= num_pictures:
            return
        scene = FAMILIES[name](rng)(rng, draw_style(rng, look, mark=SPLITS.index(split)))
        num_drawn += len(scene.pictures)
        yield from _lessons_of(scene, rng, family=name, num_questions=num_questions)


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


def _lessons_of(
    scene: Scene, rng: random.Random, *, family: str, num_questions: int
) -> Iterator[Lesson]:
    pictures = tuple(admit(data) for data in scene.pictures)

    def lesson(text: str, answer: str, kind: Form | Literal["description"]) -> Lesson:
        content: tuple[Part, ...] = (*pictures, text)
        prompt = Prompt(messages=(Message(role="user", content=content),))
        shown = Demonstration(prompt=prompt, response=Response(content=(answer,)))
        return Lesson(demonstration=shown, family=family, kind=kind)

    yield lesson(rng.choice(_DESCRIBE), " ".join(scene.facts), "description")
    asked = rng.sample(scene.questions, min(num_questions, len(scene.questions)))
    for question in asked:
        form = rng.choice(forms_of(question.answer))
        said = write(question.answer, form, instead=question.answer, variant=0)
        has_hint = rng.random() < _HINT_SHARE
        text = f"{question.text} {_HINTS[form]}" if has_hint else question.text
        yield lesson(text, said, form)


def make_exam(
    *, num_pictures: int, seed: int, split: Split, look: Look = "seen"
) -> Iterator[Lesson]:
    """Every question of new pictures, its bare answer asked for: one answer alone is right."""
    rng = random.Random(f"exam {split} {seed} {look}")
    num_drawn = 0
    for name in cycle(FAMILIES):
        if num_drawn >= num_pictures:
            return
        scene = FAMILIES[name](rng)(rng, draw_style(rng, look, mark=SPLITS.index(split)))
        num_drawn += len(scene.pictures)
        pictures = tuple(admit(data) for data in scene.pictures)
        for question in scene.questions:
            content: tuple[Part, ...] = (*pictures, f"{question.text} {_HINTS['value']}")
            answer = write(question.answer, "value", instead=question.answer, variant=0)
            shown = Demonstration(
                prompt=Prompt(messages=(Message(role="user", content=content),)),
                response=Response(content=(answer,)),
            )
            yield Lesson(demonstration=shown, family=name, kind="value")
