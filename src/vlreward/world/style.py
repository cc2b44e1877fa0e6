"""How pictures of the world look: colours, font, line width and background.

Two looks share no palette, font or line width. Everything that is trained on has the look `seen`;
`unseen` is for measuring whether what was learnt carries over.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Rgb = tuple[int, int, int]
Look = Literal["seen", "unseen"]

COLOUR_NAMES = ("red", "green", "blue", "yellow", "purple", "orange")

_PALETTES: dict[Look, tuple[dict[str, Rgb], ...]] = {
    "seen": (
        {
            "red": (214, 40, 45),
            "green": (40, 160, 75),
            "blue": (40, 85, 220),
            "yellow": (240, 205, 30),
            "purple": (140, 60, 170),
            "orange": (240, 130, 25),
        },
        {
            "red": (235, 75, 75),
            "green": (95, 190, 110),
            "blue": (85, 140, 235),
            "yellow": (250, 225, 90),
            "purple": (175, 110, 205),
            "orange": (250, 160, 75),
        },
        {
            "red": (165, 25, 35),
            "green": (25, 110, 55),
            "blue": (25, 50, 150),
            "yellow": (205, 170, 20),
            "purple": (100, 35, 125),
            "orange": (205, 100, 15),
        },
    ),
    "unseen": (
        {
            "red": (200, 55, 70),
            "green": (70, 175, 60),
            "blue": (55, 110, 190),
            "yellow": (235, 215, 60),
            "purple": (155, 80, 150),
            "orange": (225, 140, 55),
        },
    ),
}
_FONTS: dict[Look, tuple[str, ...]] = {
    "seen": (
        "DejaVuSans.ttf",
        "DejaVuSans-Bold.ttf",
        "DejaVuSerif.ttf",
        "DejaVuSansMono.ttf",
        "DejaVuSansMono-Bold.ttf",
    ),
    "unseen": ("DejaVuSerif-Bold.ttf", "STIXGeneral.ttf"),
}
_LINE_WIDTHS: dict[Look, tuple[float, ...]] = {"seen": (1.5, 2.0, 3.0), "unseen": (1.75, 2.5)}
_JITTER = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """One picture's look; widths are in pixels."""

    palette: Mapping[str, Rgb]
    font: Path
    line_width: float
    ink: Rgb
    """Of text, axes and frames."""
    background: Rgb


def draw_style(rng: random.Random, look: Look, *, mark: int = 0) -> Style:
    """A random style of the look; dark ink on a pale background always.

    The background's channels make `mark` modulo 3, so that pictures of other marks differ.
    """
    palette = rng.choice(_PALETTES[look])
    return Style(
        palette={name: _jittered(rng, palette[name]) for name in COLOUR_NAMES},
        font=_font_folder() / rng.choice(_FONTS[look]),
        line_width=rng.choice(_LINE_WIDTHS[look]),
        ink=_shade(rng, 10, 60),
        background=_marked(_shade(rng, 232, 252), mark),
    )


def is_dark(colour: Rgb) -> bool:
    """Whether dark ink would be hard to read on the colour (by Rec. 601 luma)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue < 110


def _jittered(rng: random.Random, colour: Rgb) -> Rgb:
    red, green, blue = (min(255, max(0, c + rng.randint(-_JITTER, _JITTER))) for c in colour)
    return red, green, blue


def _shade(rng: random.Random, low: int, high: int) -> Rgb:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def _marked(colour: Rgb, mark: int) -> Rgb:
    red, green, blue = colour
    return red, green, blue + (mark - sum(colour)) % 3


def _font_folder() -> Path:
    """Matplotlib's own fonts: the same files wherever that version is installed."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None and spec.submodule_search_locations, "matplotlib is a dependency"
    return Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
