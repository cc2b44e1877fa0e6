"""What the base model learns from: everything that is seen, said, and short questions answered."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from vlreward.pictures import admit
from vlreward.records import Message, Part, Prompt, Response
from vlreward.world.answers import forms_of, write
from vlreward.world.catalogue import FAMILIES
from vlreward.world.preferences import SPLITS, Split, make_text_pairs
from vlreward.world.scenes import Scene, Skill
from vlreward.world.style import Look, draw_style
from vlreward.world.texts import TEXT_FAMILIES

_DESCRIBE = ("Describe the picture.", "What can be seen? Say everything.", "Describe all you see.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """A prompt with the answer to learn; `skill` is that of a question, None of a description.

    Lessons with one `group` show the same pictures.
    """

    prompt: Prompt
    response: Response
    family: str
    skill: Skill | None
    group: str


def make_lessons(
    *,
    num_pictures: int,
    seed: int,
    split: Split,
    look: Look = "seen",
    families: Sequence[str] = tuple(FAMILIES),
) -> Iterator[Lesson]:
    """A description and all questions of at least `num_pictures` new pictures, lazily.

    The pictures are those of no preference pair. The same arguments give the same lessons.
    """
    rng = random.Random(f"lessons {split} {seed} {look}")
    num_drawn = 0
    for number, name in enumerate(cycle(families)):
        if num_drawn >= num_pictures:
            return
        scene = FAMILIES[name](rng)(rng, draw_style(rng, look, mark=SPLITS.index(split)))
        num_drawn += len(scene.pictures)
        yield from _lessons_of(scene, rng, family=name, group=f"{look}-{seed}-{number}")


def make_text_lessons(
    *, num_lessons: int, seed: int, split: Split, families: Sequence[str] = tuple(TEXT_FAMILIES)
) -> Iterator[Lesson]:
    """The good answers to tasks without pictures, lazily."""
    for world_pair in make_text_pairs(
        num_pairs=num_lessons, seed=seed, split=split, families=families
    ):
        pair = world_pair.pair
        yield Lesson(
            prompt=pair.prompt,
            response=pair.chosen,
            family=world_pair.family,
            skill=None,
            group=pair.id,
        )


def _lessons_of(scene: Scene, rng: random.Random, *, family: str, group: str) -> Iterator[Lesson]:
    pictures = tuple(admit(data) for data in scene.pictures)

    def lesson(text: str, answer: str, skill: Skill | None) -> Lesson:
        content: tuple[Part, ...] = (*pictures, text)
        return Lesson(
            prompt=Prompt(messages=(Message(role="user", content=content),)),
            response=Response(content=(answer,)),
            family=family,
            skill=skill,
            group=group,
        )

    yield lesson(rng.choice(_DESCRIBE), " ".join(scene.facts), None)
    for question in scene.questions:
        answer = question.answer
        form = rng.choice(forms_of(answer))
        said = write(answer, form, instead=answer, variant=0)
        yield lesson(question.text, said, question.skill)
