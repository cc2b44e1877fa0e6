"""Scenes of the world, drawn from a seed: what preference pairs, lessons and exams begin with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal, get_args

from vlreward.errors import require
from vlreward.pictures import admit
from vlreward.records import Picture
from vlreward.world.catalogue import FAMILIES
from vlreward.world.scenes import Scene
from vlreward.world.style import Look, draw_style

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A scene with its pictures admitted."""

    scene: Scene
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """Scenes of one family that are asked the same questions."""

    number: int
    """Which one it is of those drawn together."""
    family: str
    shown: tuple[Shown, ...]


def draw_topics(
    rng: random.Random,
    *,
    num_pictures: int,
    split: Split,
    look: Look,
    num_scenes: int = 1,
    families: Sequence[str] = tuple(FAMILIES),
) -> Iterator[Topic]:
    """Topics of each family in turn until there are so many pictures, lazily.

    Splits share no picture, whatever their generators. Raises ConfigError for an unknown family.
    """
    check_families(families, known=tuple(FAMILIES))
    mark = SPLITS.index(split)
    num_drawn = 0
    for number, name in enumerate(cycle(families)):
        if num_drawn >= num_pictures:
            return
        paint = FAMILIES[name](rng)
        scenes = [paint(rng, draw_style(rng, look, mark=mark)) for _ in range(num_scenes)]
        num_drawn += sum(len(scene.paintings) for scene in scenes)
        yield Topic(number=number, family=name, shown=tuple(_admitted(one) for one in scenes))


def check_families(families: Sequence[str], *, known: Sequence[str]) -> None:
    """Raises ConfigError for a family that is not known."""
    for name in families:
        expected = f"some of {', '.join(known)}"
        require(name in known, place="families", value=name, expected=expected)


def _admitted(scene: Scene) -> Shown:
    return Shown(scene=scene, pictures=tuple(admit(painting.png) for painting in scene.paintings))
