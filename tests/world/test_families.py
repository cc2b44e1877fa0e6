"""What a scene says of itself can be found in its pixels."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vlreward.world.catalogue import FAMILIES
from vlreward.world.scenes import Scene
from vlreward.world.style import Look, draw_style


def scenes(name: str, *, look: Look = "seen", number: int = 24) -> Iterator[Scene]:
    rng = random.Random(f"{name} {look}")
    for _ in range(number):
        yield FAMILIES[name](rng)(rng, draw_style(rng, look))


def pixels(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def ink(png: bytes) -> Any:
    """Where the picture differs clearly from its corner."""
    values = pixels(png)
    return np.abs(values - values[0, 0]).max(axis=2) > 40


def num_blobs(png: bytes) -> int:
    labels, count = ndimage.label(ink(png))
    sizes = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    return int((np.asarray(sizes) > 20).sum())


@pytest.mark.parametrize("look", ["seen", "unseen"])
@pytest.mark.parametrize("name", FAMILIES)
def test_scenes_can_be_asked_and_described(name: str, look: Look) -> None:
    for scene in scenes(name, look=look, number=6):
        assert scene.facts and scene.questions
        for question in scene.questions:
            assert question.text.endswith(("?", "."))
            assert question.answer.sentence.endswith(".")
            assert (
                question.answer.value in question.answer.sentence
                or question.answer.steps
                or (question.answer.value in ("Yes", "No", "0", "1", "2"))
            )
        for painting in scene.paintings:
            height, width, channels = pixels(painting.png).shape
            assert min(height, width) >= 50 and max(height, width) <= 200 and channels == 3


@pytest.mark.parametrize(
    "name", ["single shapes", "counting", "several pictures", "colours", "objects"]
)
def test_as_many_shapes_are_drawn_as_are_said(name: str) -> None:
    for scene in scenes(name):
        said = sum(
            int(found.group(1))
            for fact in scene.facts
            if (found := re.search(r"There (?:is|are) (\d+)", fact))
        )
        assert said == sum(num_blobs(one.png) for one in scene.paintings)


def test_a_shape_has_the_colour_that_is_said() -> None:
    nearest = {
        "red": (214, 40, 45),
        "green": (40, 160, 75),
        "blue": (40, 85, 220),
        "yellow": (240, 205, 30),
        "purple": (140, 60, 170),
        "orange": (240, 130, 25),
    }
    right = total = 0
    for scene in scenes("colours", number=60):
        values = pixels(scene.paintings[0].png)[ink(scene.paintings[0].png)]
        said = {fact.split()[1] for fact in scene.facts if " at the " in fact}
        colours, counts = np.unique(values, axis=0, return_counts=True)
        for colour in colours[np.argsort(-counts)][: len(said)]:
            right += _hue(colour, nearest) in said
            total += 1
    assert right / total > 0.9


def _hue(colour: Any, names: dict[str, tuple[int, int, int]]) -> str:
    """The name of the colour with the nearest mixture of channels."""
    return min(names, key=lambda one: float(np.abs(_chroma(colour) - _chroma(names[one])).sum()))


def _chroma(colour: Any) -> Any:
    values = np.asarray(colour, dtype=float)
    return values / values.sum()


def test_a_grid_has_the_lines_that_are_said() -> None:
    for scene in scenes("grids"):
        rows, columns = map(int, re.findall(r"\d+", scene.facts[0]))
        darkness = (230 - pixels(scene.paintings[0].png).max(axis=2)).clip(0)
        for axis, cells in ((1, rows), (0, columns)):
            profile = np.percentile(darkness, 30, axis=axis)
            lines = ndimage.label(profile > 0.25 * profile.max())[1]
            assert lines == cells + 1


def test_overlapping_circles_make_one_blob_and_others_two() -> None:
    for scene in scenes("overlapping circles", number=60):
        is_one = num_blobs(scene.paintings[0].png) == 1
        assert is_one == (scene.questions[0].answer.value == "Yes")
