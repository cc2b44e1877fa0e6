"""The quick start's pictures: coloured shapes, with questions that only the picture decides.

Pictures come in twins: two scenes alike in kind that differ in the answer to every question asked
of them. Each question is asked of both, and what is right for one is the rejected answer for the
other. So whatever the number and the seed, each text (question, chosen, rejected) occurs exactly
as often as (question, rejected, chosen): a judge that does not look is right half of the time.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw

from vlreward.errors import ConfigError
from vlreward.pictures import admit
from vlreward.records import Judgment, Message, Origin, Picture, PreferencePair, Prompt, Response

Family = Literal["colour", "shape", "count", "more", "side"]
"""What a question asks: a shape's colour, which shape it is, how many there are, which of two
pictures shows more of them, on which side one stands of another."""

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (214, 40, 45),
    "green": (40, 160, 75),
    "blue": (40, 85, 220),
    "yellow": (245, 205, 30),
    "purple": (140, 60, 170),
    "black": (35, 35, 40),
}
SHAPES = ("circle", "square", "triangle", "star")
NUMBERS = ("one", "two", "three", "four")

_SPLITS = ("train", "val", "case")
_OVERSAMPLING = 4
_MARGIN = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One drawn shape; centre and radius are in pixels, the turn in degrees."""

    name: str
    colour: Rgb
    x: float
    y: float
    radius: float
    turn: float
    outline: float
    """Width of the dark outline in pixels; 0 draws none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """All that a picture shows; its size is in pixels."""

    width: int
    height: int
    background: Rgb
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    """A question to twins: `answers[i]` is right when the pictures `shown[i]` are shown."""

    family: Family
    text: str
    answers: tuple[str, str]
    shown: tuple[tuple[int, ...], tuple[int, ...]] = ((0,), (1,))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Twins:
    scenes: tuple[Scene, Scene]
    questions: tuple[_Question, ...]


def make_drawings(
    *, num_pictures: int, seed: int, split: Literal["train", "val"]
) -> list[PreferencePair]:
    """Pairs about `num_pictures` new pictures (an even number), grouped by picture.

    Every six pictures carry ten pairs, two of each family. The same arguments draw the same
    pictures; the splits share none, whatever their seeds. Raises ConfigError if `num_pictures`
    is odd or less than 2.
    """
    if num_pictures < 2 or num_pictures % 2:
        raise ConfigError(
            "drawings-not-twins",
            value=num_pictures,
            place="num_pictures",
            expected="an even number, at least 2",
            mend="Drawings come in twins: add one.",
        )
    rng = _stream(split, seed)
    kinds = islice(cycle((_single, _several, _side_by_side)), num_pictures // 2)
    return [pair for kind in kinds for pair in _pairs(kind(rng, split), split=split)]


def make_case(folder: Path, *, seed: int, family: Family = "count") -> PreferencePair:
    """One pair about a picture that is in no split, its pictures saved as PNG files in `folder`.

    The files are named `{family}-{seed}-{number}.png`; the pair's pictures are read from them.
    """
    rng = _stream("case", seed)
    draw: Callable[[random.Random, str], _Twins] = {
        "colour": _single,
        "shape": _single,
        "count": _several,
        "more": _several,
        "side": _side_by_side,
    }[family]
    twins = draw(rng, "case")
    question = next(one for one in twins.questions if one.family == family)
    side = rng.randrange(2)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, index in enumerate(question.shown[side], start=1):
        path = folder / f"{family}-{seed}-{number}.png"
        path.write_bytes(_png(twins.scenes[index]))
        pictures.append(admit(path))
    return _pair(question, side, tuple(pictures), split="case")


def render(scene: Scene) -> Image.Image:
    """The scene as an RGB picture, its edges smoothed by drawing large and averaging."""
    size = (scene.width * _OVERSAMPLING, scene.height * _OVERSAMPLING)
    image = Image.new("RGB", size, scene.background)
    canvas = ImageDraw.Draw(image)
    for shape in scene.shapes:
        _draw_shape(canvas, shape)
    return image.reduce(_OVERSAMPLING)


def _single(rng: random.Random, split: str) -> _Twins:
    """One large shape each, of different colour and name."""
    names, colours = rng.sample(SHAPES, 2), rng.sample(sorted(COLOURS), 2)
    first, second = (
        _scene(rng, split, names=(name,), colours=(colour,), radii=(17.0, 25.0))
        for name, colour in zip(names, colours, strict=True)
    )
    colour_question = _Question(
        family="colour",
        text=rng.choice(("Which colour is the shape?", "What is the colour of the shape?")),
        answers=(f"The shape is {colours[0]}.", f"The shape is {colours[1]}."),
    )
    shape_question = _Question(
        family="shape",
        text=rng.choice(("Which shape is drawn?", "What does the picture show?")),
        answers=(f"The picture shows a {names[0]}.", f"The picture shows a {names[1]}."),
    )
    return _Twins(scenes=(first, second), questions=(colour_question, shape_question))


def _several(rng: random.Random, split: str) -> _Twins:
    """One to four shapes, of different number in the two pictures."""
    counts = rng.sample(range(1, 5), 2)
    first, second = (
        _scene(
            rng,
            split,
            names=rng.choices(SHAPES, k=count),
            colours=rng.choices(sorted(COLOURS), k=count),
            radii=(10.0, 13.0),
        )
        for count in counts
    )
    count_question = _Question(
        family="count",
        text=rng.choice(("How many shapes are there?", "Count the shapes in the picture.")),
        answers=(_number_answer(counts[0]), _number_answer(counts[1])),
    )
    ordered = ((0, 1), (1, 0)) if counts[0] > counts[1] else ((1, 0), (0, 1))
    more_question = _Question(
        family="more",
        text="Which of the two pictures shows more shapes, the first or the second?",
        answers=("The first picture shows more shapes.", "The second picture shows more shapes."),
        shown=ordered,
    )
    return _Twins(scenes=(first, second), questions=(count_question, more_question))


def _side_by_side(rng: random.Random, split: str) -> _Twins:
    """Two shapes of different name, one left of the other; the twin has them the other way."""
    left, right = rng.sample(SHAPES, 2)
    first, second = (
        _scene(
            rng,
            split,
            names=names,
            colours=rng.sample(sorted(COLOURS), 2),
            radii=(12.0, 16.0),
            in_a_row=True,
        )
        for names in ((left, right), (right, left))
    )
    question = _Question(
        family="side",
        text=f"Is the {left} left or right of the {right}?",
        answers=(
            f"The {left} is on the left of the {right}.",
            f"The {left} is on the right of the {right}.",
        ),
    )
    return _Twins(scenes=(first, second), questions=(question,))


def _number_answer(count: int) -> str:
    return f"The number of shapes is {NUMBERS[count - 1]}."


def _pairs(twins: _Twins, *, split: str) -> list[PreferencePair]:
    pictures = [admit(_png(scene)) for scene in twins.scenes]
    return [
        _pair(question, side, tuple(pictures[index] for index in question.shown[side]), split=split)
        for side in (0, 1)
        for question in twins.questions
    ]


def _pair(
    question: _Question, side: int, pictures: tuple[Picture, ...], *, split: str
) -> PreferencePair:
    message = Message(role="user", content=(*pictures, question.text))
    return PreferencePair(
        prompt=Prompt(messages=(message,)),
        chosen=Response(content=(question.answers[side],)),
        rejected=Response(content=(question.answers[1 - side],)),
        judgment=Judgment(kind="template", confidence=1.0),
        origin=Origin(source="drawings", task=question.family, split=split),
    )


def _scene(
    rng: random.Random,
    split: str,
    *,
    names: list[str] | tuple[str, ...],
    colours: list[str] | tuple[str, ...],
    radii: tuple[float, float],
    in_a_row: bool = False,
) -> Scene:
    """A scene of the shapes in random places; `in_a_row` puts them from left to right."""
    width, height = rng.randint(76, 104), rng.randint(64, 90)
    places = _places(rng, len(names), width=width, height=height, radii=radii, in_a_row=in_a_row)
    outline = rng.choice((0.0, 1.0, 2.0))
    shapes = tuple(
        Shape(
            name=name,
            colour=_jittered(rng, COLOURS[colour]),
            x=x,
            y=y,
            radius=radius,
            turn=rng.uniform(-12.0, 12.0),
            outline=outline,
        )
        for name, colour, (x, y, radius) in zip(names, colours, places, strict=True)
    )
    return Scene(width=width, height=height, background=_background(rng, split), shapes=shapes)


def _places(
    rng: random.Random,
    count: int,
    *,
    width: int,
    height: int,
    radii: tuple[float, float],
    in_a_row: bool,
) -> list[tuple[float, float, float]]:
    """`count` circles (x, y, radius) within the margins that do not touch each other."""
    while True:
        places: list[tuple[float, float, float]] = []
        for _ in range(count):
            radius = rng.uniform(*radii)
            room = radius + _MARGIN
            x, y = rng.uniform(room, width - room), rng.uniform(room, height - room)
            places.append((x, y, radius))
        if in_a_row:
            places.sort()
        if all(
            _apart(one, other, in_a_row=in_a_row)
            for index, one in enumerate(places)
            for other in places[:index]
        ):
            return places


def _apart(
    one: tuple[float, float, float], other: tuple[float, float, float], *, in_a_row: bool
) -> bool:
    across, down = one[0] - other[0], 0.0 if in_a_row else one[1] - other[1]
    return math.hypot(across, down) >= one[2] + other[2] + _MARGIN


def _draw_shape(canvas: ImageDraw.ImageDraw, shape: Shape) -> None:
    dark = tuple(channel // 3 for channel in shape.colour)
    outline_width = round(shape.outline * _OVERSAMPLING)
    outline = dark if outline_width else None
    x, y, radius = (value * _OVERSAMPLING for value in (shape.x, shape.y, shape.radius))
    if shape.name == "circle":
        box = (x - radius, y - radius, x + radius, y + radius)
        canvas.ellipse(box, fill=shape.colour, outline=outline, width=outline_width)
    else:
        corners = [
            (x + radius * reach * math.cos(angle), y + radius * reach * math.sin(angle))
            for angle, reach in _corners(shape)
        ]
        canvas.polygon(corners, fill=shape.colour, outline=outline, width=outline_width)


def _corners(shape: Shape) -> list[tuple[float, float]]:
    """Corners as angle (radians, clockwise from the right) and share of the radius."""
    num_points, inner, start = {
        "square": (4, None, 45.0),
        "triangle": (3, None, -90.0),
        "star": (5, 0.42, -90.0),
    }[shape.name]
    reaches = (1.0,) if inner is None else (1.0, inner)
    total = num_points * len(reaches)
    first = math.radians(start + shape.turn)
    return [
        (first + math.tau * index / total, reaches[index % len(reaches)]) for index in range(total)
    ]


def _jittered(rng: random.Random, colour: Rgb) -> Rgb:
    red, green, blue = (min(255, max(0, value + rng.randint(-15, 15))) for value in colour)
    return red, green, blue


def _background(rng: random.Random, split: str) -> Rgb:
    """A pale tint; its channels' sum modulo 3 is the split's number.

    No shape covers a corner, so pictures of different splits differ at least there.
    """
    red, green, blue = rng.randint(222, 252), rng.randint(222, 252), rng.randint(222, 252)
    return red, green, blue + (_SPLITS.index(split) - red - green - blue) % len(_SPLITS)


def _stream(split: str, seed: int) -> random.Random:
    return random.Random(f"drawings {split} {seed}")


def _png(scene: Scene) -> bytes:
    file = io.BytesIO()
    render(scene).save(file, format="PNG")
    return file.getvalue()
