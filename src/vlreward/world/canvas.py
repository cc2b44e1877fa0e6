"""Drawing with smooth edges: everything is drawn large and averaged down.

Coordinates and widths are in pixels of the finished picture, x to the right and y down. What is
drawn is also noted in words, each with the places where it can be seen.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from vlreward.world.style import Rgb, Style

Point = tuple[float, float]

_OVERSAMPLING = 3
_NOTE_EVERY = 5.0
_PIECES = re.compile(r"[A-Za-z]+|\S")


class Mark(NamedTuple):
    """A word for what is drawn at a place, in shares of the picture's width and height."""

    across: float
    down: float
    word: str


class Painting(NamedTuple):
    """A finished picture as a PNG file, and what can be seen where."""

    png: bytes
    marks: tuple[Mark, ...]


class Canvas:
    """A picture being drawn."""

    def __init__(self, width: int, height: int, style: Style) -> None:
        self.width = width
        self.height = height
        self.style = style
        size = (width * _OVERSAMPLING, height * _OVERSAMPLING)
        self._image = Image.new("RGB", size, style.background)
        self._draw = ImageDraw.Draw(self._image)
        self._marks: list[Mark] = []

    def circle(
        self, centre: Point, radius: float, *, fill: Rgb | None = None, outline: Rgb | None = None
    ) -> None:
        """A disc, a ring of the style's line width, or both."""
        self.ellipse(centre, (radius, radius), fill=fill, outline=outline)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        *,
        fill: Rgb | None = None,
        outline: Rgb | None = None,
    ) -> None:
        """An ellipse with these half axes along x and y."""
        self._draw.ellipse(
            _box(centre, radii), fill=fill, outline=outline, width=_large(self.style.line_width)
        )
        around = [_at_angle(centre, radii, angle) for angle in range(0, 360, 24)]
        if fill is not None:
            self._note(_spread(centre, around), fill, "circle")
        if outline is not None:
            self._note(around, outline, "ring")

    def sector(self, centre: Point, radius: float, *, start: float, end: float, fill: Rgb) -> None:
        """A slice of a disc; angles in degrees, clockwise from the right."""
        self._draw.pieslice(
            _box(centre, (radius, radius)),
            start,
            end,
            fill=fill,
            outline=self.style.ink,
            width=_large(self.style.line_width / 2),
        )
        steps = [start + share * (end - start) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
        arc = [_at_angle(centre, (radius, radius), angle) for angle in steps]
        self._note(_spread(centre, arc), fill, "slice")

    def polygon(
        self, corners: Sequence[Point], *, fill: Rgb | None = None, name: str | None = None
    ) -> None:
        """A polygon, called by its name if it has one; without a fill its outline in ink."""
        points = [_scaled(corner) for corner in corners]
        if fill is None:
            self.line([*corners, corners[0]], colour=self.style.ink)
            return
        self._draw.polygon(points, fill=fill)
        middle = (
            sum(x for x, _ in corners) / len(corners),
            sum(y for _, y in corners) / len(corners),
        )
        self._note(_spread(middle, corners), fill, name)

    def rectangle(
        self, low: Point, high: Point, *, fill: Rgb | None = None, name: str | None = None
    ) -> None:
        """The upright rectangle between two corners; see `polygon`."""
        self.polygon([low, (high[0], low[1]), high, (low[0], high[1])], fill=fill, name=name)

    def line(self, points: Sequence[Point], *, colour: Rgb, width: float | None = None) -> None:
        """A line through the points; its width defaults to the style's."""
        wide = _large(self.style.line_width if width is None else width)
        self._draw.line([_scaled(p) for p in points], fill=colour, width=wide, joint="curve")
        for start, end in pairwise(points):
            number = max(1, int(math.dist(start, end) / _NOTE_EVERY))
            along = [_towards(start, end, step / number) for step in range(number + 1)]
            self._note(along, colour, "line")

    def text(self, at: Point, text: str, *, size: float, colour: Rgb | None = None) -> None:
        """A line of text around its middle."""
        self._draw.text(
            _scaled(at),
            text,
            font=_font(self.style.font, _large(size)),
            fill=self.style.ink if colour is None else colour,
            anchor="mm",
        )
        left = at[0] - self.text_width(text, size=size) / 2
        for piece in _PIECES.finditer(text):
            before = self.text_width(text[: piece.start()], size=size)
            middle = before + self.text_width(piece.group(), size=size) / 2
            self._note([(left + middle, at[1])], None, piece.group())

    def text_width(self, text: str, *, size: float) -> float:
        """How wide the text would be."""
        return _font(self.style.font, _large(size)).getlength(text) / _OVERSAMPLING

    def finish(self) -> Painting:
        """The finished picture; the same drawing gives the same bytes."""
        file = io.BytesIO()
        self._image.reduce(_OVERSAMPLING).save(file, format="PNG", compress_level=1)
        return Painting(png=file.getvalue(), marks=tuple(self._marks))

    def _note(self, points: Sequence[Point], colour: Rgb | None, name: str | None) -> None:
        """Notes at each point the name and, if it is one of the palette, the colour."""
        words = [word for word, rgb in self.style.palette.items() if rgb == colour]
        words += [] if name is None else [name]
        for x, y in points:
            self._marks += [Mark(x / self.width, y / self.height, word) for word in words]


@lru_cache(maxsize=256)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _at_angle(centre: Point, radii: Point, degrees: float) -> Point:
    angle = math.radians(degrees)
    return centre[0] + radii[0] * math.cos(angle), centre[1] + radii[1] * math.sin(angle)


def _towards(start: Point, end: Point, share: float) -> Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _spread(middle: Point, border: Sequence[Point]) -> list[Point]:
    """Points all over an area: its middle, and on the way from there to its border."""
    reaches = (0.3, 0.6, 0.9)
    return [middle, *(_towards(middle, point, reach) for point in border for reach in reaches)]


def _large(length: float) -> int:
    return max(1, round(length * _OVERSAMPLING))


def _scaled(point: Point) -> Point:
    return point[0] * _OVERSAMPLING, point[1] * _OVERSAMPLING


def _box(centre: Point, radii: Point) -> tuple[float, float, float, float]:
    (x, y), (across, down) = _scaled(centre), _scaled(radii)
    return x - across, y - down, x + across, y + down
