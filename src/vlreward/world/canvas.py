"""Drawing with smooth edges: everything is drawn large and averaged down.

Coordinates and widths are in pixels of the finished picture, x to the right and y down. What is
drawn is also noted in words, each with the places where it can be seen, and with a phrase about the
thing that it is a part of.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vlreward.world.style import Rgb, Style

Point = tuple[float, float]

_OVERSAMPLING = 3
_NOTE_EVERY = 3.5
"""Pixels between the places at which a drawn thing is noted."""
_PIECES = re.compile(r"[A-Za-z]+|\S")


def words_of(text: str) -> list[str]:
    """Its words, and its digits and signs one by one."""
    return _PIECES.findall(text)


class Mark(NamedTuple):
    """A word for what is drawn at a place, in shares of the picture's width and height."""

    across: float
    down: float
    word: str
    phrase: str = ""
    """What is to be said of the thing that this is a part of, such as "Kim longest 12"."""


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
        self._phrase = ""

    @contextmanager
    def part_of(self, phrase: str) -> Iterator[None]:
        """What is drawn within belongs to one thing, of which the phrase is true."""
        before, self._phrase = self._phrase, phrase
        yield
        self._phrase = before

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
        box = _box(centre, radii, scale=1 / _NOTE_EVERY)
        if fill is not None:
            self._note(lambda mask: mask.ellipse(box, fill=1), colour=fill, name="circle")
        if outline is not None:
            self._note(lambda mask: mask.ellipse(box, outline=1), colour=outline, name="ring")

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
        box = _box(centre, (radius, radius), scale=1 / _NOTE_EVERY)
        self._note(lambda mask: mask.pieslice(box, start, end, fill=1), colour=fill, name="slice")

    def polygon(
        self, corners: Sequence[Point], *, fill: Rgb | None = None, name: str | None = None
    ) -> None:
        """A polygon, called by its name if it has one; without a fill its outline in ink."""
        points = [_scaled(corner) for corner in corners]
        if fill is None:
            self.line([*corners, corners[0]], colour=self.style.ink)
            return
        self._draw.polygon(points, fill=fill)
        small = [_scaled(corner, scale=1 / _NOTE_EVERY) for corner in corners]
        self._note(lambda mask: mask.polygon(small, fill=1), colour=fill, name=name)

    def rectangle(
        self, low: Point, high: Point, *, fill: Rgb | None = None, name: str | None = None
    ) -> None:
        """The upright rectangle between two corners; see `polygon`."""
        self.polygon([low, (high[0], low[1]), high, (low[0], high[1])], fill=fill, name=name)

    def line(self, points: Sequence[Point], *, colour: Rgb, width: float | None = None) -> None:
        """A line through the points; its width defaults to the style's."""
        wide = _large(self.style.line_width if width is None else width)
        self._draw.line([_scaled(p) for p in points], fill=colour, width=wide, joint="curve")
        small = [_scaled(point, scale=1 / _NOTE_EVERY) for point in points]
        self._note(lambda mask: mask.line(small, fill=1), colour=colour, name="line")

    def text(self, at: Point, text: str, *, size: float, colour: Rgb | None = None) -> None:
        """A line of text around its middle; it is its own phrase if it is a part of nothing."""
        self._draw.text(
            _scaled(at),
            text,
            font=_font(self.style.font, _large(size)),
            fill=self.style.ink if colour is None else colour,
            anchor="mm",
        )
        left = at[0] - self.text_width(text, size=size) / 2
        phrase = self._phrase or text
        for piece in _PIECES.finditer(text):
            for index in range(*piece.span()):
                before = self.text_width(text[:index], size=size)
                middle = before + self.text_width(text[index], size=size) / 2
                across, down = (left + middle) / self.width, at[1] / self.height
                self._marks.append(Mark(across, down, piece.group(), phrase))

    def text_width(self, text: str, *, size: float) -> float:
        """How wide the text would be."""
        return _font(self.style.font, _large(size)).getlength(text) / _OVERSAMPLING

    def finish(self) -> Painting:
        """The finished picture; the same drawing gives the same bytes."""
        file = io.BytesIO()
        self._image.reduce(_OVERSAMPLING).save(file, format="PNG", compress_level=1)
        return Painting(png=file.getvalue(), marks=tuple(self._marks))

    def _note(
        self, draw: Callable[[ImageDraw.ImageDraw], None], *, colour: Rgb, name: str | None
    ) -> None:
        """Notes the name, and the colour if it is of the palette, wherever `draw` leaves ink.

        It draws on a mask of one pixel for each place.
        """
        words = [word for word, rgb in self.style.palette.items() if rgb == colour]
        words += [] if name is None else [name]
        size = (math.ceil(self.width / _NOTE_EVERY), math.ceil(self.height / _NOTE_EVERY))
        mask = Image.new("1", size)
        draw(ImageDraw.Draw(mask))
        for row, column in np.argwhere(np.asarray(mask)).tolist():
            across, down = column * _NOTE_EVERY / self.width, row * _NOTE_EVERY / self.height
            self._marks += [Mark(across, down, word, self._phrase) for word in words]


@lru_cache(maxsize=256)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _large(length: float) -> int:
    return max(1, round(length * _OVERSAMPLING))


def _scaled(point: Point, *, scale: float = _OVERSAMPLING) -> Point:
    return point[0] * scale, point[1] * scale


def _box(
    centre: Point, radii: Point, *, scale: float = _OVERSAMPLING
) -> tuple[float, float, float, float]:
    (x, y), (across, down) = _scaled(centre, scale=scale), _scaled(radii, scale=scale)
    return x - across, y - down, x + across, y + down
