"""Draws a page of scenes of every family: `python -m vlreward.world.contact_sheet FOLDER`."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path
from typing import get_args

from PIL import Image, ImageDraw, ImageFont

from vlreward.durable import write_bytes_atomically
from vlreward.world.canvas import Painting
from vlreward.world.catalogue import FAMILIES
from vlreward.world.style import Look, draw_style

_CELL = 200
_LABEL_HEIGHT = 18
_NUM_PICTURES = 7


def draw_contact_sheet(look: Look, *, seed: int = 0) -> Image.Image:
    """A row of pictures for each family, with its name above."""
    row_height = _CELL + _LABEL_HEIGHT
    sheet = Image.new("RGB", (_CELL * _NUM_PICTURES, row_height * len(FAMILIES)), "white")
    canvas = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for row, (name, family) in enumerate(FAMILIES.items()):
        rng = random.Random(f"sheet {name} {look} {seed}")
        canvas.text((4, row * row_height + 2), name, fill="black", font=font)
        paintings: list[Painting] = []
        while len(paintings) < _NUM_PICTURES:
            paintings += family(rng)(rng, draw_style(rng, look)).paintings
        for column, painting in enumerate(paintings[:_NUM_PICTURES]):
            picture = Image.open(io.BytesIO(painting.png))
            sheet.paste(picture, (column * _CELL, row * row_height + _LABEL_HEIGHT))
    return sheet


def main(folder: Path) -> None:
    """Writes a sheet for each look."""
    for look in get_args(Look):
        file = io.BytesIO()
        draw_contact_sheet(look).quantize(128).save(file, format="PNG", optimize=True)
        write_bytes_atomically(folder / f"{look}.png", file.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
