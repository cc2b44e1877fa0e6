"""Figures as files."""

import io

from matplotlib.figure import Figure
from PIL import Image

from vlreward.plotting import png_bytes


def test_a_figure_keeps_its_size_and_resolution() -> None:
    with Image.open(io.BytesIO(png_bytes(Figure(figsize=(3, 2), dpi=50)))) as image:
        assert (image.format, image.size) == ("PNG", (150, 100))
