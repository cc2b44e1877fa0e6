"""The drawings: only the picture decides, splits share nothing, a seed repeats itself."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vlreward.errors import ConfigError
from vlreward.pictures import open_rgb
from vlreward.records import Picture, PreferencePair
from vlreward.world.drawings import (
    COLOURS,
    NUMBERS,
    Family,
    Scene,
    Shape,
    make_case,
    make_drawings,
    render,
)

FAMILIES: tuple[Family, ...] = get_args(Family)


def question(pair: PreferencePair) -> str:
    text = pair.prompt.messages[-1].content[-1]
    assert isinstance(text, str)
    return text


def texts(pair: PreferencePair) -> tuple[str, ...]:
    """All that a judge sees who does not look: the task too, as a question gives it away."""
    assert pair.origin.task is not None
    return (pair.origin.task, question(pair), pair.chosen.text, pair.rejected.text)


def of_family(family: Family) -> list[PreferencePair]:
    pairs = make_drawings(num_pictures=90, seed=4, split="train")
    return [pair for pair in pairs if pair.origin.task == family]


def ink_of(image: Image.Image) -> NDArray[np.bool_]:
    """Where the picture is clearly not its background; rows first."""
    pixels = np.asarray(image).astype(int)
    ink: NDArray[np.bool_] = np.abs(pixels - pixels[0, 0]).max(axis=2) > 60
    return ink


def ink_colours(image: Image.Image) -> list[tuple[int, tuple[int, int, int]]]:
    colours, counts = np.unique(np.asarray(image)[ink_of(image)], axis=0, return_counts=True)
    return [
        (int(count), (int(red), int(green), int(blue)))
        for count, (red, green, blue) in zip(counts, colours, strict=True)
    ]


def num_spots(picture: Picture) -> int:
    """Number of connected spots of ink."""
    canvas = Image.fromarray(ink_of(open_rgb(picture)).astype(np.uint8) * 255).copy()
    count = 0
    while (ink := np.argwhere(np.asarray(canvas) == 255)).size:
        ImageDraw.floodfill(canvas, (int(ink[0][1]), int(ink[0][0])), 0)
        count += 1
    return count


def corner_class(pair: PreferencePair) -> int:
    """Which split the pictures' corner pixels tell; all must tell the same."""
    corners = {int(np.asarray(open_rgb(p))[0, 0].sum(dtype=int)) % 3 for p in pair.pictures}
    assert len(corners) == 1
    return corners.pop()


@given(num_threes=st.integers(1, 20), seed=st.integers(0, 2**31))
def test_text_alone_never_tells_chosen_from_rejected(num_threes: int, seed: int) -> None:
    pairs = make_drawings(num_pictures=3 * num_threes, seed=seed, split="train")
    assert Counter(map(texts, pairs)) == Counter(texts(pair.swapped()) for pair in pairs)


def test_each_answer_is_as_often_chosen_as_rejected_in_its_family() -> None:
    pairs = make_drawings(num_pictures=300, seed=0, split="val")
    chosen = Counter((pair.origin.task, pair.chosen.text) for pair in pairs)
    rejected = Counter((pair.origin.task, pair.rejected.text) for pair in pairs)
    assert chosen == rejected
    assert {family for family, _ in chosen} == set(FAMILIES)


def test_every_six_pictures_carry_six_pairs_of_each_family() -> None:
    pairs = make_drawings(num_pictures=30, seed=5, split="train")
    assert Counter(pair.origin.task for pair in pairs) == dict.fromkeys(FAMILIES, 30)


def test_the_pictures_are_as_many_as_asked_for_and_all_different() -> None:
    pairs = make_drawings(num_pictures=300, seed=1, split="train")
    assert len({picture.sha256 for pair in pairs for picture in pair.pictures}) == 300


def test_six_pairs_share_a_row_id_and_their_texts_balance() -> None:
    pairs = make_drawings(num_pictures=30, seed=5, split="train")
    rows = [list(row) for _, row in groupby(pairs, key=lambda pair: pair.origin.row_id)]
    assert len(rows) == len({pair.origin.row_id for pair in pairs})
    for row in rows:
        assert len(row) == 6
        assert Counter(map(texts, row)) == Counter(texts(pair.swapped()) for pair in row)


def test_pairs_that_share_a_prompt_stand_together_and_agree_on_what_is_right() -> None:
    pairs = make_drawings(num_pictures=45, seed=6, split="train")
    groups = [list(group) for _, group in groupby(pairs, key=lambda pair: pair.prompt)]
    assert len(groups) == len({pair.prompt for pair in pairs})
    assert all(len({pair.chosen.text for pair in group}) == 1 for group in groups)
    assert all(len({pair.rejected.text for pair in group}) == len(group) for group in groups)


def test_splits_share_no_picture_even_with_one_seed() -> None:
    train = make_drawings(num_pictures=201, seed=3, split="train")
    val = make_drawings(num_pictures=201, seed=3, split="val")
    corners = [{corner_class(pair) for pair in pairs} for pairs in (train, val)]
    assert corners == [{0}, {1}]
    hashes = [{p.sha256 for pair in pairs for p in pair.pictures} for pairs in (train, val)]
    assert not hashes[0] & hashes[1]


def test_the_same_arguments_draw_the_same_pairs() -> None:
    first, second = (make_drawings(num_pictures=21, seed=9, split="train") for _ in range(2))
    assert [pair.id for pair in first] == [pair.id for pair in second]
    other = make_drawings(num_pictures=21, seed=10, split="train")
    assert {pair.id for pair in first}.isdisjoint(pair.id for pair in other)


def test_a_pair_says_where_it_comes_from_and_that_its_label_is_sure() -> None:
    pair = make_drawings(num_pictures=3, seed=0, split="val")[0]
    assert (pair.origin.source, pair.origin.split) == ("drawings", "val")
    assert (pair.judgment.kind, pair.judgment.confidence) == ("template", 1.0)


def test_the_colour_called_right_is_the_one_that_fills_most_of_the_shape() -> None:
    for pair in of_family("colour"):
        image = open_rgb(pair.prompt.pictures[0])
        fill = max(ink_colours(image), key=lambda entry: entry[0])[1]
        shown = min(COLOURS, key=lambda name: math.dist(COLOURS[name], fill))
        assert pair.chosen.text == f"The shape is {shown}."


def test_the_number_called_right_is_the_number_of_separate_spots_of_ink() -> None:
    for pair in of_family("count"):
        number = NUMBERS[num_spots(pair.prompt.pictures[0]) - 1]
        assert pair.chosen.text == f"The number of circles is {number}."


def test_the_picture_said_to_show_more_has_more_spots_of_ink() -> None:
    for pair in of_family("more"):
        first, second = map(num_spots, pair.prompt.pictures)
        assert pair.chosen.text == f"The {'first' if first > second else 'second'} shows more."


@pytest.mark.parametrize(
    ("name", "area"), [("circle", math.pi), ("square", 2.0), ("triangle", 3 * math.sqrt(3) / 4)]
)
def test_a_shape_covers_its_area(name: str, area: float) -> None:
    shape = Shape(name=name, colour=(0, 0, 0), x=50, y=50, radius=40, turn=5, outline=0)
    scene = Scene(width=100, height=100, background=(255, 255, 255), shapes=(shape,))
    darkness = 1 - np.asarray(render(scene), dtype=float).mean() / 255
    assert darkness * 100 * 100 == pytest.approx(area * 40**2, rel=0.02)


@pytest.mark.parametrize("num_pictures", [0, -3, 7])
def test_a_number_that_is_no_multiple_of_three_is_refused(num_pictures: int) -> None:
    with pytest.raises(ConfigError, match="drawings-not-in-threes"):
        make_drawings(num_pictures=num_pictures, seed=0, split="train")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_case_is_drawn_anew_and_saved(family: Family, tmp_path: Path) -> None:
    pair = make_case(tmp_path / "cases", seed=11, family=family)
    assert pair.origin.task == family
    assert corner_class(pair) == 2
    files = sorted((tmp_path / "cases").glob("*.png"))
    assert [picture.path for picture in pair.prompt.pictures] == files
    assert len(files) == (2 if family == "more" else 1)
    assert make_case(tmp_path / "again", seed=11, family=family).id == pair.id
