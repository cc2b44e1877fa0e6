"""What the canvas notes lies where it is drawn."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vlreward.training.naming import PHRASE_LENGTH
from vlreward.world.canvas import Canvas, Painting, words_of
from vlreward.world.catalogue import FAMILIES
from vlreward.world.scenes import Scene
from vlreward.world.style import draw_style

STYLE = draw_style(random.Random(0), "seen")


def words_at(painting: Painting) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for mark in painting.marks:
        found.setdefault(mark.word, []).append((mark.across, mark.down))
    return found


def test_a_shape_is_noted_with_its_colour_all_over_its_area() -> None:
    canvas = Canvas(100, 50, STYLE)
    canvas.circle((50, 25), 20, fill=STYLE.palette["red"])
    places = words_at(canvas.finish())
    assert set(places) == {"red", "circle"} and places["red"] == places["circle"]
    inside = np.zeros((25, 50), dtype=bool)  # cells of two pixels
    for across, down in places["red"]:
        inside[int(down * 25), int(across * 50)] = True
    filled = ndimage.binary_dilation(inside, np.ones((3, 3)))
    rows, columns = np.mgrid[1:50:2, 1:100:2]
    reach = np.hypot(rows - 25, columns - 50)
    assert filled[reach < 17].all() and not inside[reach > 25].any()


def test_a_text_is_noted_word_by_word_and_sign_by_sign() -> None:
    canvas = Canvas(200, 50, STYLE)
    canvas.text((100, 25), "Mon 37%", size=20)
    marks = canvas.finish().marks
    assert [mark.word for mark in marks] == ["Mon", "Mon", "Mon", "3", "7", "%"]
    assert [mark.across for mark in marks] == sorted(mark.across for mark in marks)
    assert {mark.down for mark in marks} == {0.5}


def test_lines_and_rings_are_noted_where_their_ink_is() -> None:
    canvas = Canvas(100, 100, STYLE)
    canvas.line([(10, 10), (90, 60)], colour=STYLE.ink)
    canvas.circle((30, 70), 15, outline=STYLE.palette["blue"])
    painting = canvas.finish()
    pixels = np.asarray(Image.open(io.BytesIO(painting.png))).astype(int)
    assert set(words_at(painting)) == {"line", "ring", "blue"}
    for mark in painting.marks:
        x, y = round(mark.across * 100), round(mark.down * 100)
        near = pixels[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3)
        assert np.abs(near - STYLE.background).max() > 60


@pytest.mark.parametrize("name", FAMILIES)
def test_marks_lie_in_the_picture(name: str) -> None:
    rng = random.Random(f"marks {name}")
    for _ in range(6):
        for painting in FAMILIES[name](rng)(rng, draw_style(rng, "seen")).paintings:
            assert painting.marks
            for mark in painting.marks:
                assert -0.05 <= mark.across <= 1.05 and -0.05 <= mark.down <= 1.05


def test_all_that_is_drawn_of_one_thing_bears_its_phrase() -> None:
    canvas = Canvas(100, 100, STYLE)
    with canvas.part_of("Kim longest 12"):
        canvas.rectangle((10, 40), (30, 80), fill=STYLE.palette["red"], name="bar")
        canvas.text((20, 90), "Kim", size=12)
    canvas.line([(0, 80), (100, 80)], colour=STYLE.ink)
    canvas.text((80, 20), "37%", size=12)
    by_word = {mark.word: mark.phrase for mark in canvas.finish().marks}
    assert by_word["bar"] == by_word["red"] == by_word["Kim"] == "Kim longest 12"
    assert by_word["line"] == "" and by_word["3"] == by_word["%"] == "37%"


def phrases_of(scene: Scene) -> list[list[str]]:
    found = {mark.phrase for painting in scene.paintings for mark in painting.marks}
    return [words_of(phrase) for phrase in found if phrase]


def scenes_of(name: str, number: int = 12) -> list[Scene]:
    rng = random.Random(f"phrases {name}")
    return [FAMILIES[name](rng)(rng, draw_style(rng, "seen")) for _ in range(number)]


@pytest.mark.parametrize("name", FAMILIES)
def test_phrases_are_short_enough_to_be_said(name: str) -> None:
    for scene in scenes_of(name):
        assert all(len(phrase) <= PHRASE_LENGTH for phrase in phrases_of(scene))


@pytest.mark.parametrize(
    ("name", "extreme"),
    [
        ("bar charts", "longest"),
        ("line charts", "highest"),
        ("pie charts", "largest"),
        ("tables", "largest"),
    ],
)
def test_one_phrase_tells_the_greatest_and_each_tells_its_value(name: str, extreme: str) -> None:
    for scene in scenes_of(name):
        phrases = phrases_of(scene)
        [top] = [phrase for phrase in phrases if extreme in phrase]
        greatest, reading = scene.questions[0].answer, scene.questions[1]
        assert top[0] == greatest.value
        asked = reading.text.split()[-1].rstrip("?")
        [phrase] = [phrase for phrase in phrases if phrase[0] == asked]
        assert "".join(phrase[2:]).startswith(reading.answer.value)


def test_phrases_of_shapes_tell_how_many_there_are_and_which_lie_outermost() -> None:
    for scene in scenes_of("counting"):
        noun = scene.questions[0].answer.sentence.rstrip(".").split()[-1].removesuffix("s")
        counts = {phrase[2] for phrase in phrases_of(scene) if phrase[1] == noun}
        assert counts == {scene.questions[0].answer.value}
    for scene in scenes_of("positions"):
        question = scene.questions[0]
        [side] = {"left", "right", "top", "bottom"}.intersection(words_of(question.text))
        [nearest] = [phrase for phrase in phrases_of(scene) if side in phrase]
        assert question.answer.value == f"the {nearest[0]} {nearest[1]}"


def test_phrases_of_lines_tell_what_is_asked() -> None:
    for scene in scenes_of("overlapping circles"):
        told = {phrase[2] for phrase in phrases_of(scene)}
        assert told == {"overlap" if scene.questions[0].answer.value == "Yes" else "apart"}
    for scene in scenes_of("crossing lines"):
        assert {phrase[2] for phrase in phrases_of(scene)} == {scene.questions[0].answer.value}
    for scene in scenes_of("grids"):
        [phrase] = phrases_of(scene)
        size = scene.questions[0].answer.value.replace(" and ", " ").split()
        assert phrase[::2] == size[::2]
    for scene in scenes_of("circled letters"):
        [circled] = [phrase for phrase in phrases_of(scene) if "circled" in phrase]
        assert circled[0] == scene.questions[0].answer.value
