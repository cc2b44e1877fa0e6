"""Drawing with smooth edges: everything is drawn large and averaged down.

Coordinates and widths are in pixels of the finished picture, x to the right and y down.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vlreward.world.style import Rgb, Style

Point = tuple[float, float]

_OVERSAMPLING = 3


class Canvas:
    """A picture being drawn."""

    def __init__(self, width: int, height: int, style: Style) -> None:
        self.width = width
        self.height = height
        self.style = style
        size = (width * _OVERSAMPLING, height * _OVERSAMPLING)
        self._image = Image.new("RGB", size, style.background)
        self._draw = ImageDraw.Draw(self._image)

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

    def polygon(self, corners: Sequence[Point], *, fill: Rgb | None = None) -> None:
        """A polygon; without a fill its outline in ink."""
        points = [_scaled(corner) for corner in corners]
        if fill is not None:
            self._draw.polygon(points, fill=fill)
        else:
            self.line([*corners, corners[0]], colour=self.style.ink)

    def rectangle(self, low: Point, high: Point, *, fill: Rgb | None = None) -> None:
        """The upright rectangle between two corners; without a fill its outline in ink."""
        self.polygon([low, (high[0], low[1]), high, (low[0], high[1])], fill=fill)

    def line(self, points: Sequence[Point], *, colour: Rgb, width: float | None = None) -> None:
        """A line through the points; its width defaults to the style's."""
        wide = _large(self.style.line_width if width is None else width)
        self._draw.line([_scaled(p) for p in points], fill=colour, width=wide, joint="curve")

    def text(self, at: Point, text: str, *, size: float, colour: Rgb | None = None) -> None:
        """A line of text around its middle."""
        self._draw.text(
            _scaled(at),
            text,
            font=_font(self.style.font, _large(size)),
            fill=self.style.ink if colour is None else colour,
            anchor="mm",
        )

    def text_width(self, text: str, *, size: float) -> float:
        """How wide the text would be."""
        return _font(self.style.font, _large(size)).getlength(text) / _OVERSAMPLING

    def png(self) -> bytes:
        """The finished picture as a PNG file; the same drawing gives the same bytes."""
        file = io.BytesIO()
        self._image.reduce(_OVERSAMPLING).save(file, format="PNG", compress_level=1)
        return file.getvalue()


@lru_cache(maxsize=256)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _large(length: float) -> int:
    return max(1, round(length * _OVERSAMPLING))


def _scaled(point: Point) -> Point:
    return point[0] * _OVERSAMPLING, point[1] * _OVERSAMPLING


def _box(centre: Point, radii: Point) -> tuple[float, float, float, float]:
    (x, y), (across, down) = _scaled(centre), _scaled(radii)
    return x - across, y - down, x + across, y + down
