"""Figures with printed measures: circular sectors and triangles."""

from __future__ import annotations

import math
import random

from vlreward.world.canvas import Canvas, Point
from vlreward.world.scenes import Answer, Painter, Question, Scene, difficulty_of
from vlreward.world.style import COLOUR_NAMES, Style, is_dark

_ANGLES = (30, 45, 60, 90, 120, 180)
_TRIPLES = ((3, 4, 5), (6, 8, 10), (5, 12, 13), (8, 15, 17), (9, 12, 15))
_SIZE = 14.5
_ANGLE_SIZE = 13.0
"""Small enough to stand within a triangle's corner."""


def sectors(rng: random.Random) -> Painter:
    """A sector's area in terms of π, from its printed radius and angle."""
    text = rng.choice(
        (
            "What is the area of the sector, in terms of π?",
            "Find the area of the sector. Leave π in the answer.",
        )
    )

    def paint(rng: random.Random, style: Style) -> Scene:
        angle = rng.choice(_ANGLES)
        fitting = [r for r in range(2, 13) if angle * r * r % 360 == 0]
        radius = rng.choice(fitting)
        canvas = Canvas(rng.randint(126, 154), rng.randint(126, 154), style)
        _draw_sector(rng, canvas, radius=radius, angle=angle)
        area = angle * radius * radius // 360
        read = (f"The radius is {radius}.", f"The angle is {angle}°.")
        answer = Answer(
            value=f"{area}π",
            sentence=f"The area is {area}π.",
            steps=(*read, f"{angle}/360 × π × {radius}² = {area}π."),
        )
        radius_answer = Answer(value=str(radius), sentence=read[0])
        angle_answer = Answer(value=f"{angle}°", sentence=read[1])
        return Scene(
            paintings=(canvas.finish(),),
            facts=("A circular sector.", *read),
            questions=(
                Question(skill="arithmetic", text=text, answer=answer),
                Question(skill="reading", text="What is the radius?", answer=radius_answer),
                Question(skill="reading", text="What is the angle?", answer=angle_answer),
            ),
            difficulty=difficulty_of(area, (6, 18)),
        )

    return paint


def triangle_angles(rng: random.Random) -> Painter:
    """The third angle of a triangle, from the two printed ones."""
    text = rng.choice(("How large is the angle marked x?", "What is x in degrees?"))

    def paint(rng: random.Random, style: Style) -> Scene:
        angles = rng.choice(
            [
                (a, b, 180 - a - b)
                for a in range(30, 101, 5)
                for b in range(30, 101, 5)
                if 30 <= 180 - a - b <= 100
            ]
        )
        canvas = Canvas(rng.randint(140, 168), rng.randint(126, 154), style)
        labels = (f"{angles[0]}°", f"{angles[1]}°", "x")
        _draw_triangle(canvas, angles=angles, labels=labels)
        read = (f"One angle is {angles[0]}°.", f"Another angle is {angles[1]}°.")
        answer = Answer(
            value=f"{angles[2]}°",
            sentence=f"x is {angles[2]}°.",
            steps=(*read, f"180 - {angles[0]} - {angles[1]} = {angles[2]}."),
        )
        return Scene(
            paintings=(canvas.finish(),),
            facts=("A triangle.", *read, "The third angle is marked x."),
            questions=(Question(skill="arithmetic", text=text, answer=answer),),
            difficulty=difficulty_of(sum(a % 10 > 0 for a in angles[:2]), (0, 1)),
        )

    return paint


def right_triangles(rng: random.Random) -> Painter:
    """A right triangle's longest side, from the two printed legs."""
    text = rng.choice(("How long is the side marked x?", "What is the length of the hypotenuse x?"))

    def paint(rng: random.Random, style: Style) -> Scene:
        short, long, longest = rng.choice(_TRIPLES)
        legs = (short, long) if rng.random() < 0.5 else (long, short)
        canvas = Canvas(rng.randint(126, 154), rng.randint(126, 154), style)
        _draw_right_triangle(canvas, legs=legs)
        read = (f"One leg is {legs[0]}.", f"The other leg is {legs[1]}.")
        squares = f"{legs[0] ** 2} + {legs[1] ** 2} = {longest**2}"
        answer = Answer(
            value=str(longest),
            sentence=f"x is {longest}.",
            steps=(*read, f"{squares}, and the root of {longest**2} is {longest}."),
        )
        return Scene(
            paintings=(canvas.finish(),),
            facts=("A right triangle.", *read, "The longest side is marked x."),
            questions=(Question(skill="arithmetic", text=text, answer=answer),),
            difficulty=difficulty_of(longest, (5, 13)),
        )

    return paint


def _draw_sector(rng: random.Random, canvas: Canvas, *, radius: int, angle: int) -> None:
    """A sector that opens upwards, its radius printed below the lower edge, its angle inside."""
    style = canvas.style
    reach = 0.62 * canvas.width if angle <= 90 else 0.42 * canvas.width
    corner = (0.16 * canvas.width, 0.8 * canvas.height)
    if angle > 90:
        corner = (0.5 * canvas.width, 0.78 * canvas.height)
    fill = style.palette[rng.choice(COLOUR_NAMES)]
    canvas.sector(corner, reach, start=-angle, end=0, fill=fill)
    canvas.text((corner[0] + reach / 2, corner[1] + 12), str(radius), size=_SIZE)
    inner = math.radians(-angle / 2)
    middle = (
        corner[0] + 0.55 * reach * math.cos(inner),
        corner[1] + 0.55 * reach * math.sin(inner),
    )
    ink = style.background if is_dark(fill) else style.ink
    canvas.text(middle, f"{angle}°", size=_SIZE, colour=ink)


def _draw_triangle(
    canvas: Canvas, *, angles: tuple[int, int, int], labels: tuple[str, str, str]
) -> None:
    """A triangle with these angles at the lower left, lower right and top, labels inside them."""
    first, second = (math.radians(angle) for angle in angles[:2])
    height = 1 / (1 / math.tan(first) + 1 / math.tan(second))
    xs = (0.0, 1.0, height / math.tan(first))
    low, high = min(xs), max(xs)
    scale = min((canvas.width - 24) / (high - low), (canvas.height - 24) / height)
    left = (canvas.width - scale * (high - low)) / 2 - scale * low
    bottom = (canvas.height + scale * height) / 2
    corners = [
        (left + scale * x, bottom - scale * y) for x, y in zip(xs, (0, 0, height), strict=True)
    ]
    canvas.polygon(corners)
    middle = (sum(x for x, _ in corners) / 3, sum(y for _, y in corners) / 3)
    for corner, label in zip(corners, labels, strict=True):
        canvas.text(_between(corner, middle, 0.5), label, size=_ANGLE_SIZE)


def _draw_right_triangle(canvas: Canvas, *, legs: tuple[int, int]) -> None:
    """The right angle at the lower left; the legs' lengths beside them, x at the longest side."""
    scale = min((canvas.width - 50) / legs[0], (canvas.height - 46) / legs[1])
    corner = (32.0, canvas.height - 28.0)
    right = (corner[0] + scale * legs[0], corner[1])
    top = (corner[0], corner[1] - scale * legs[1])
    canvas.polygon([corner, right, top])
    canvas.line(
        [(corner[0] + 7, corner[1]), (corner[0] + 7, corner[1] - 7), (corner[0], corner[1] - 7)],
        colour=canvas.style.ink,
        width=1,
    )
    canvas.text(((corner[0] + right[0]) / 2, corner[1] + 13), str(legs[0]), size=_SIZE)
    canvas.text((corner[0] - 16, (corner[1] + top[1]) / 2), str(legs[1]), size=_SIZE)
    canvas.text(((right[0] + top[0]) / 2 + 9, (right[1] + top[1]) / 2 - 9), "x", size=_SIZE)


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
