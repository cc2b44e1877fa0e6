"""The quick start's pictures: coloured shapes, with questions that only the picture decides.

Pictures come in threes: scenes alike in kind that differ in the answer to every question asked of
them. Each question is asked of all three, and the two answers that are right for the others are
the rejected ones. So whatever the number and the seed, each text (question, chosen, rejected)
occurs exactly as often as (question, rejected, chosen): a judge that does not look is right half
of the time.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, cycle, islice
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw

from vlreward.errors import ConfigError
from vlreward.pictures import admit
from vlreward.records import Judgment, Message, Origin, Picture, PreferencePair, Prompt, Response

Family = Literal["colour", "shape", "count", "more"]
"""What a question asks: a shape's colour, which shape it is, how many circles there are, which
of two pictures shows more of them."""

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (214, 40, 45),
    "green": (40, 160, 75),
    "blue": (40, 85, 220),
    "yellow": (245, 205, 30),
    "purple": (140, 60, 170),
    "black": (35, 35, 40),
}
SHAPES = ("circle", "square", "triangle")
NUMBERS = ("one", "two", "three")

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
    """A question to three scenes: `answers[i]` is right when the scenes `shown[i]` are shown."""

    family: Family
    text: str
    answers: tuple[str, ...]
    shown: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Three:
    scenes: tuple[Scene, ...]
    questions: tuple[_Question, ...]


def make_drawings(
    *, num_pictures: int, seed: int, split: Literal["train", "val"]
) -> list[PreferencePair]:
    """Pairs about `num_pictures` new pictures; pairs that share a prompt stand together.

    The six pairs with one `origin.row_id` ask one thing of three pictures. Their texts balance, so
    a batch that holds all six pushes a model towards the picture alone: it learns several times
    faster than from pairs in any order.

    Every six pictures carry twenty-four pairs, six of each family. The same arguments draw the
    same pictures; the splits share none, whatever their seeds. Raises ConfigError if
    `num_pictures` is not a positive multiple of three.
    """
    if num_pictures < 1 or num_pictures % 3:
        raise ConfigError(
            "drawings-not-in-threes",
            value=num_pictures,
            place="num_pictures",
            expected="a positive multiple of three",
            mend=f"Take {max(3, round(num_pictures / 3) * 3)}.",
        )
    rng = _stream(split, seed)
    kinds = islice(cycle((_single, _several)), num_pictures // 3)
    return [
        pair
        for number, kind in enumerate(kinds)
        for pair in _pairs(kind(rng, split), split=split, row=f"{seed}-{number}")
    ]


def make_case(folder: Path, *, seed: int, family: Family = "count") -> PreferencePair:
    """One pair about a picture that is in no split, its pictures saved as PNG files in `folder`.

    The files are named `{family}-{seed}-{number}.png`; the pair's pictures are read from them.
    """
    rng = _stream("case", seed)
    draw: dict[Family, Callable[[random.Random, str], _Three]] = {
        "colour": _single,
        "shape": _single,
        "count": _several,
        "more": _several,
    }
    three = draw[family](rng, "case")
    question = next(one for one in three.questions if one.family == family)
    right, wrong = rng.sample(range(len(question.answers)), 2)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, index in enumerate(question.shown[right], start=1):
        path = folder / f"{family}-{seed}-{number}.png"
        path.write_bytes(_png(three.scenes[index]))
        pictures.append(admit(path))
    return _pair(question, tuple(pictures), right=right, wrong=wrong, split="case", row=str(seed))


def render(scene: Scene) -> Image.Image:
    """The scene as an RGB picture, its edges smoothed by drawing large and averaging."""
    size = (scene.width * _OVERSAMPLING, scene.height * _OVERSAMPLING)
    image = Image.new("RGB", size, scene.background)
    canvas = ImageDraw.Draw(image)
    for shape in scene.shapes:
        _draw_shape(canvas, shape)
    return image.reduce(_OVERSAMPLING)


def _single(rng: random.Random, split: str) -> _Three:
    """One large shape each, of different names and colours."""
    names, colours = rng.sample(SHAPES, 3), rng.sample(sorted(COLOURS), 3)
    scenes = (
        _scene(rng, split, names=(name,), colour=colour, radii=(23.0, 28.0))
        for name, colour in zip(names, colours, strict=True)
    )
    colour_question = _Question(
        family="colour",
        text=rng.choice(("Which colour is the shape?", "What is the colour of the shape?")),
        answers=tuple(f"The shape is {colour}." for colour in colours),
    )
    shape_question = _Question(
        family="shape",
        text=rng.choice(("Which shape is drawn?", "What does the picture show?")),
        answers=tuple(f"The picture shows a {name}." for name in names),
    )
    return _Three(scenes=tuple(scenes), questions=(colour_question, shape_question))


def _several(rng: random.Random, split: str) -> _Three:
    """One, two and three small circles, those of one picture of one colour."""
    counts = range(1, len(NUMBERS) + 1)
    scenes = (
        _scene(
            rng,
            split,
            names=("circle",) * count,
            colour=rng.choice(sorted(COLOURS)),
            radii=(12.0, 13.0),
        )
        for count in counts
    )
    count_question = _Question(
        family="count",
        text=rng.choice(("How many circles are there?", "Count the circles in the picture.")),
        answers=tuple(f"The number of circles is {number}." for number in NUMBERS),
    )
    more_questions = (
        _Question(
            family="more",
            text="Which of the two pictures shows more circles?",
            answers=("The first shows more.", "The second shows more."),
            shown=((more, fewer), (fewer, more)),
        )
        for fewer, more in combinations(range(len(NUMBERS)), 2)
    )
    return _Three(scenes=tuple(scenes), questions=(count_question, *more_questions))


def _pairs(three: _Three, *, split: str, row: str) -> list[PreferencePair]:
    pictures = [admit(_png(scene)) for scene in three.scenes]
    return [
        _pair(
            question,
            tuple(pictures[index] for index in shown),
            right=right,
            wrong=wrong,
            split=split,
            row=row,
        )
        for question in three.questions
        for right, shown in enumerate(question.shown)
        for wrong in range(len(question.answers))
        if wrong != right
    ]


def _pair(
    question: _Question,
    pictures: tuple[Picture, ...],
    *,
    right: int,
    wrong: int,
    split: str,
    row: str,
) -> PreferencePair:
    message = Message(role="user", content=(*pictures, question.text))
    return PreferencePair(
        prompt=Prompt(messages=(message,)),
        chosen=Response(content=(question.answers[right],)),
        rejected=Response(content=(question.answers[wrong],)),
        judgment=Judgment(kind="template", confidence=1.0),
        origin=Origin(
            source="drawings",
            row_id=f"{row}-{question.family}",
            task=question.family,
            split=split,
        ),
    )


def _scene(
    rng: random.Random,
    split: str,
    *,
    names: tuple[str, ...],
    colour: str,
    radii: tuple[float, float],
) -> Scene:
    """A scene of the shapes in random places."""
    width, height = rng.randint(77, 97), rng.randint(77, 97)
    spots = _spots(rng, len(names), size=(width, height), radii=radii)
    outline = rng.choice((0.0, 1.0, 2.0))
    fill = _jittered(rng, COLOURS[colour])
    shapes = tuple(
        Shape(
            name=name,
            colour=fill,
            x=x,
            y=y,
            radius=radius,
            turn=rng.uniform(-6.0, 6.0),
            outline=outline,
        )
        for name, (x, y, radius) in zip(names, spots, strict=True)
    )
    return Scene(width=width, height=height, background=_background(rng, split), shapes=shapes)


def _spots(
    rng: random.Random,
    count: int,
    *,
    size: tuple[int, int],
    radii: tuple[float, float],
) -> list[tuple[float, float, float]]:
    """`count` circles (x, y, radius) inside the margins that do not touch each other."""
    width, height = size
    while True:
        spots: list[tuple[float, float, float]] = []
        for _ in range(count):
            radius = rng.uniform(*radii)
            room = radius + _MARGIN
            x = rng.uniform(room, width - room)
            spots.append((x, rng.uniform(room, height - room), radius))
        if all(_apart(one, other) for index, one in enumerate(spots) for other in spots[:index]):
            return spots


def _apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    return math.dist(one[:2], other[:2]) >= one[2] + other[2] + _MARGIN


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
            (x + radius * math.cos(angle), y + radius * math.sin(angle))
            for angle in _corner_angles(shape)
        ]
        canvas.polygon(corners, fill=shape.colour, outline=outline, width=outline_width)


def _corner_angles(shape: Shape) -> list[float]:
    """Where the corners lie on the circle around the shape: radians, clockwise from the right."""
    num_corners, start = {"square": (4, 45.0), "triangle": (3, -90.0)}[shape.name]
    first = math.radians(start + shape.turn)
    return [first + math.tau * index / num_corners for index in range(num_corners)]


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
