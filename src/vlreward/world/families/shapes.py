"""Shapes on a plain ground: how many, of which colour, where, and which are missing."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vlreward.world.canvas import Canvas, Painting, Point
from vlreward.world.scenes import Answer, Difficulty, Painter, Question, Scene, difficulty_of
from vlreward.world.style import COLOUR_NAMES, Style
from vlreward.world.wording import sentence, with_article

SHAPES = ("circle", "square", "triangle", "star")
PLURALS = {name: f"{name}s" for name in SHAPES}

_SIDES = (("left", 0, -1), ("right", 0, 1), ("top", 1, -1), ("bottom", 1, 1))
"""Each side with the coordinate that tells how near a shape is, and the direction in which."""

_MARGIN = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """One drawn shape: its centre and the radius of the circle around it, in pixels."""

    name: str
    colour: str
    centre: Point
    radius: float

    def __str__(self) -> str:
        return f"{self.colour} {self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawing:
    """Shapes that do not touch, on a ground of this size."""

    width: int
    height: int
    shapes: tuple[_Shape, ...]

    @property
    def facts(self) -> tuple[str, ...]:
        """How many of each, then each shape with its place, from left to right."""
        counts = Counter(shape.name for shape in self.shapes)
        ordered = sorted(self.shapes, key=lambda shape: shape.centre)
        return (
            *(_there_are(counts[name], name) for name in SHAPES if counts[name]),
            *(
                f"{with_article(str(shape)).capitalize()} at the {self._place(shape)}."
                for shape in ordered
            ),
        )

    def _place(self, shape: _Shape) -> str:
        column = min(2, int(3 * shape.centre[0] / self.width))
        row = min(2, int(3 * shape.centre[1] / self.height))
        words = (("top", "middle", "bottom")[row], ("left", "centre", "right")[column])
        return " ".join(words)

    def paint(self, style: Style) -> Painting:
        """The finished picture."""
        canvas = Canvas(self.width, self.height, style)
        for shape in self.shapes:
            fill = style.palette[shape.colour]
            with canvas.part_of(self._phrase(shape)):
                if shape.name == "circle":
                    canvas.circle(shape.centre, shape.radius, fill=fill)
                else:
                    canvas.polygon(_corners(shape), fill=fill, name=shape.name)
        return canvas.finish()

    def _phrase(self, shape: _Shape) -> str:
        """The shape, how many are of its kind, and the sides that it is the nearest to.

        "Between" is said for an axis along which it is nearest to neither side, or alone.
        """
        count = sum(one.name == shape.name for one in self.shapes)
        others = [one for one in self.shapes if one is not shape]
        nearest = ["between", "between"]
        for side, axis, sign in _SIDES:
            if others and all(
                sign * shape.centre[axis] > sign * one.centre[axis] for one in others
            ):
                nearest[axis] = side
        return f"{shape} {count} {' '.join(nearest)}"


def single_shapes(rng: random.Random) -> Painter:
    """One large shape: its colour and its name. What is seen first is seen here."""
    which_colour = rng.choice(("Which colour is the shape?", "What is the colour of the shape?"))
    which_shape = rng.choice(("Which shape is drawn?", "What shape is it?"))

    def paint(rng: random.Random, style: Style) -> Scene:
        name, colour = rng.choice(SHAPES), rng.choice(COLOUR_NAMES)
        width, height = rng.randint(84, 112), rng.randint(84, 112)
        radius = rng.uniform(0.26, 0.4) * min(width, height)
        x, y = (rng.uniform(radius + _MARGIN, side - radius - _MARGIN) for side in (width, height))
        shape = _Shape(name=name, colour=colour, centre=(x, y), radius=radius)
        drawing = _Drawing(width=width, height=height, shapes=(shape,))
        answers = (
            (which_colour, Answer(value=colour, sentence=f"The shape is {colour}.")),
            (which_shape, Answer(value=name, sentence=f"The shape is {with_article(name)}.")),
        )
        questions = [
            Question(skill="perception", text=text, answer=answer) for text, answer in answers
        ]
        return _scene(drawing, questions, style, difficulty="easy")

    return paint


def counting(rng: random.Random) -> Painter:
    """How many shapes of a kind there are, among others."""
    name = rng.choice(SHAPES)
    other = rng.choice([one for one in SHAPES if one != name])
    plural = PLURALS[name]
    how_many = rng.choice((f"How many {plural} are there?", f"Count the {plural} in the picture."))
    more = f"Are there more {plural} or more {PLURALS[other]}?"

    def paint(rng: random.Random, style: Style) -> Scene:
        count, other_count = rng.randint(1, 6), rng.randint(0, 4)
        names = [name] * count + [other] * other_count
        drawn = _scatter(rng, names, colours=rng.choices(COLOUR_NAMES, k=len(names)))
        questions = [
            Question(
                skill="counting",
                text=how_many,
                answer=Answer(
                    value=str(count),
                    sentence=_there_are(count, name),
                    steps=tuple(
                        sentence(f"{name} {number} is {shape.colour}")
                        for number, shape in enumerate(
                            (one for one in drawn.shapes if one.name == name), start=1
                        )
                    ),
                ),
            )
        ]
        if count != other_count:
            most = plural if count > other_count else PLURALS[other]
            steps = (_there_are(count, name), _there_are(other_count, other))
            answer = Answer(value=most, sentence=f"There are more {most}.", steps=steps)
            questions.append(Question(skill="comparison", text=more, answer=answer))
        return _scene(drawn, questions, style, difficulty=difficulty_of(len(names), (3, 6)))

    return paint


def colours(rng: random.Random) -> Painter:
    """Which colour a shape has, and which shape a colour has."""
    names = rng.sample(SHAPES, rng.randint(1, 3))
    name = names[0]
    which_colour = rng.choice(
        (f"Which colour is the {name}?", f"What colour does the {name} have?")
    )

    def paint(rng: random.Random, style: Style) -> Scene:
        chosen = rng.sample(COLOUR_NAMES, len(names))
        drawn = _scatter(rng, names, colours=chosen)
        answer = Answer(
            value=chosen[0],
            sentence=f"The {name} is {chosen[0]}.",
            steps=tuple(f"There is a {shape}." for shape in drawn.shapes),
        )
        questions = [Question(skill="perception", text=which_colour, answer=answer)]
        return _scene(drawn, questions, style, difficulty=difficulty_of(len(names), (1, 2)))

    return paint


def positions(rng: random.Random) -> Painter:
    """Which of several shapes lies furthest to one side."""
    side, axis, sign = rng.choice(_SIDES)
    count = rng.randint(2, 4)
    text = rng.choice(
        (f"Which shape is nearest to the {side}?", f"Which shape lies closest to the {side} edge?")
    )

    def paint(rng: random.Random, style: Style) -> Scene:
        drawn = _scatter(rng, rng.sample(SHAPES, count), colours=rng.sample(COLOUR_NAMES, count))
        while not _is_clear(drawn.shapes, axis=axis):
            drawn = _scatter(
                rng, rng.sample(SHAPES, count), colours=rng.sample(COLOUR_NAMES, count)
            )
        ordered = sorted(drawn.shapes, key=lambda shape: -sign * shape.centre[axis])
        answer = Answer(
            value=f"the {ordered[0]}",
            sentence=f"The {ordered[0]} is nearest to the {side}.",
            steps=tuple(
                f"The {first} lies closer to the {side} than the {second}."
                for first, second in itertools.pairwise(ordered)
            ),
        )
        questions = [Question(skill="perception", text=text, answer=answer)]
        return _scene(drawn, questions, style, difficulty=difficulty_of(count, (2, 3)))

    return paint


def objects(rng: random.Random) -> Painter:
    """What the picture shows: scenes that differ in one shape, so that a wrong list invents one.

    Shapes are listed by colour, as red comes before green, whatever their places.
    """
    count = rng.randint(2, 3)
    combinations = [f"{colour} {name}" for colour in COLOUR_NAMES for name in SHAPES]
    common = rng.sample(combinations, count - 1)
    text = rng.choice(("What does the picture show?", "Which shapes do you see?"))

    def paint(rng: random.Random, style: Style) -> Scene:
        own = rng.choice([one for one in combinations if one not in common])
        listed = sorted([*common, own], key=combinations.index)
        parts = [one.split() for one in listed]
        drawn = _scatter(rng, [p[1] for p in parts], colours=[p[0] for p in parts])
        seen = " and ".join(with_article(one) for one in listed)
        answer = Answer(value=seen, sentence=f"The picture shows {seen}.")
        questions = [Question(skill="perception", text=text, answer=answer)]
        return _scene(drawn, questions, style, difficulty=difficulty_of(count, (1, 2)))

    return paint


def several_pictures(rng: random.Random) -> Painter:
    """Two pictures: which one shows more shapes of a kind, and whether they show the same shape."""
    name = rng.choice(SHAPES)
    plural = PLURALS[name]
    more = f"Which picture shows more {plural}, the first or the second?"
    total = f"How many {plural} do the two pictures show together?"

    def paint(rng: random.Random, style: Style) -> Scene:
        counts = rng.sample(range(1, 5), 2)
        drawn = [
            _scatter(rng, [name] * count, colours=rng.choices(COLOUR_NAMES, k=count))
            for count in counts
        ]
        steps = tuple(
            f"The {which} picture shows {count}."
            for which, count in zip(("first", "second"), counts, strict=True)
        )
        winner = "first" if counts[0] > counts[1] else "second"
        questions = (
            Question(
                skill="comparison",
                text=more,
                answer=Answer(
                    value=winner,
                    sentence=f"The {winner} picture shows more {plural}.",
                    steps=steps,
                ),
            ),
            Question(
                skill="arithmetic",
                text=total,
                answer=Answer(
                    value=str(sum(counts)),
                    sentence=f"Together they show {sum(counts)} {plural}.",
                    steps=steps,
                ),
            ),
        )
        return Scene(
            paintings=tuple(one.paint(style) for one in drawn),
            facts=tuple(
                f"Picture {number}: {fact}"
                for number, one in enumerate(drawn, start=1)
                for fact in one.facts
            ),
            questions=questions,
            difficulty=difficulty_of(sum(counts), (3, 5)),
        )

    return paint


def _scene(
    drawing: _Drawing, questions: Sequence[Question], style: Style, *, difficulty: Difficulty
) -> Scene:
    return Scene(
        paintings=(drawing.paint(style),),
        facts=drawing.facts,
        questions=tuple(questions),
        difficulty=difficulty,
    )


def _scatter(rng: random.Random, names: Sequence[str], *, colours: Sequence[str]) -> _Drawing:
    """The named shapes in random places, not touching each other or the edge."""
    largest = 24.0 if len(names) < 4 else 14.0
    while True:  # a small ground may have no room for so many: the next one may
        width, height = rng.randint(84, 140), rng.randint(84, 140)
        shapes: list[_Shape] = []
        for name, colour in zip(names, colours, strict=True):
            spot = _free_spot(rng, shapes, size=(width, height), largest=largest)
            if spot is None:
                break
            shapes.append(_Shape(name=name, colour=colour, centre=spot[0], radius=spot[1]))
        else:
            return _Drawing(width=width, height=height, shapes=tuple(shapes))


def _free_spot(
    rng: random.Random, shapes: Sequence[_Shape], *, size: tuple[int, int], largest: float
) -> tuple[Point, float] | None:
    for _ in range(50):
        radius = rng.uniform(0.6 * largest, largest)
        x, y = (rng.uniform(radius + _MARGIN, length - radius - _MARGIN) for length in size)
        if all(
            math.dist((x, y), other.centre) > radius + other.radius + _MARGIN for other in shapes
        ):
            return (x, y), radius
    return None


def _corners(shape: _Shape) -> list[Point]:
    """Square and triangle stand upright; a star's inner corners lie at 0.4 of the radius."""
    number, start = {"square": (4, 45.0), "triangle": (3, -90.0), "star": (10, -90.0)}[shape.name]
    x, y = shape.centre
    corners = []
    for index in range(number):
        angle = math.radians(start + 360 * index / number)
        reach = shape.radius * (0.4 if shape.name == "star" and index % 2 else 1.0)
        corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return corners


def _is_clear(shapes: Sequence[_Shape], *, axis: int) -> bool:
    """Whether no two centres are so close along the axis that one could not tell."""
    places = sorted(shape.centre[axis] for shape in shapes)
    return all(second - first > 8 for first, second in itertools.pairwise(places))


def _there_are(count: int, name: str) -> str:
    return f"There is 1 {name}." if count == 1 else f"There are {count} {PLURALS[name]}."
