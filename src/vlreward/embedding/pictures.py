"""Copies of pictures: signatures to find candidates, and a look at the details to be sure.

A copy has another format, quality or size. Drawings of one kind look alike and show different
things: two circles that touch, two that do not. So signatures only propose, and what decides is
the place where two pictures differ most. Signatures are means of blocks (as in the perceptual hash
of that name) that are not cut to bits: on line drawings the bits of a DCT hash are mostly noise
(see docs/decisions/0010).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

_FILTER = Image.Resampling.BILINEAR
"""Weighs places by how near they are: plain means of blocks (BOX) take lines apart where a picture
and its resized copy fall on other places."""

_SIGNATURE_SIDE = 16
SIGNATURE_LENGTH = _SIGNATURE_SIDE**2

_ROUGH_SIDE = 32
ROUGH_SHAPE = (_ROUGH_SIDE, _ROUGH_SIDE)
_HUE_SIDE = 16
_FINE_SIDE = 256
_BLOCKS = 8
_SMOOTHING, _SURROUNDINGS = 0.5, 4.0
"""Radii in places: what is finer is noise of the format, what is wider is light and shade."""
_FAINT = 0.02
"""Share of the strongest block's strength below which a block's own counts as nothing."""

Details = npt.NDArray[np.float32]
"""Lines and edges of a picture in grey [side, side], in -255 to 255."""


def signature(image: Image.Image) -> npt.NDArray[np.float32]:
    """A unit vector [256]; the zero vector of a picture in one colour."""
    small = image.convert("L").resize((_SIGNATURE_SIDE, _SIGNATURE_SIDE), _FILTER)
    grey = np.array(small, dtype=np.float32).reshape(-1)
    grey -= grey.mean()
    grey /= np.linalg.norm(grey) or 1
    return grey


def rough_details(image: Image.Image) -> npt.NDArray[np.int8]:
    """Details [32, 32], halved, to tell most other drawings apart without looking again."""
    return np.rint(_details(image, side=_ROUGH_SIDE) / 2).astype(np.int8)


def fine_difference(one: Image.Image, other: Image.Image) -> float:
    """`difference` of two pictures at the size of the smaller one, 256 x 256 at most."""
    side = min(_FINE_SIDE, *one.size, *other.size) // _BLOCKS * _BLOCKS
    side = max(side, _BLOCKS)
    return difference(_details(one, side=side), _details(other, side=side))


def hue_difference(one: Image.Image, other: Image.Image) -> float:
    """How much the hues of two pictures differ in the place where they differ most, in 0-255.

    Of 16 x 16 places, in either chroma channel; formats that keep fewer hues change 16 at most.
    """
    first, second = (
        np.asarray(
            image.convert("YCbCr").resize((_HUE_SIDE, _HUE_SIDE), _FILTER),
            dtype=np.float32,
        )[..., 1:]
        for image in (one, other)
    )
    return float(np.abs(first - second).max())


def difference(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """How much two pictures differ in the block where they differ most, of 8 x 8 blocks.

    The energy of the difference over the stronger one's in that block: about 0 in a copy, 1 where
    one draws something and the other nothing, 2 where they draw something else.
    """
    first, second = (_blocks(details.astype(np.float32)) for details in (one, other))
    strength = np.maximum((first**2).sum(axis=1), (second**2).sum(axis=1))
    floor = _FAINT * strength.max() + np.finfo(np.float32).eps
    return float((((first - second) ** 2).sum(axis=1) / (strength + floor)).max())


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (width, height) are of one shape, up to rounding and a few percent."""
    ratio = (one[0] * other[1]) / (one[1] * other[0])
    return 0.97 <= ratio <= 1 / 0.97


def _details(image: Image.Image, *, side: int) -> Details:
    grey = image.convert("L").resize((side, side), _FILTER)
    smooth = grey.filter(ImageFilter.BoxBlur(_SMOOTHING))
    around = smooth.filter(ImageFilter.BoxBlur(_SURROUNDINGS))
    return np.asarray(smooth, dtype=np.float32) - np.asarray(around, dtype=np.float32)


def _blocks(details: Details) -> Details:
    """The details [side, side] as blocks [64, places]."""
    side = len(details) // _BLOCKS
    cut = details.reshape(_BLOCKS, side, _BLOCKS, side).swapaxes(1, 2)
    return cut.reshape(_BLOCKS * _BLOCKS, -1)
