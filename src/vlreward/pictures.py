"""Pictures: admission checks, decoding to RGB, and a store that holds each picture once.

Admission decodes a picture fully, so that whatever passes it can be trained on later. Training
data may be large; a server sets tighter `Limits`.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vlreward.durable import write_bytes_atomically
from vlreward.errors import PictureError
from vlreward.records import Picture, PreferencePair

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a picture may be, checked on the file's header before anything is decoded."""

    max_bytes: int = 256 * 2**20
    """Largest file, in bytes."""
    max_pixels: int = 178_000_000
    """Largest width times height; Pillow itself refuses 178,956,970 and more."""
    formats: tuple[str, ...] = _FORMATS
    """Pillow's names of the accepted formats."""


TRAINING_LIMITS = Limits()
SERVER_LIMITS = Limits(max_bytes=20 * 2**20, max_pixels=16_800_000, formats=("JPEG", "PNG", "WEBP"))

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture of an EXIF orientation upright."""
_QUARTER_TURNS = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))
_ONE_AT_A_TIME = threading.Lock()
"""Warnings are turned off for the whole process, so two threads must not do so at once."""


def admit(source: Path | bytes, *, limits: Limits = TRAINING_LIMITS) -> Picture:
    """Checks a picture file (a path, or a file's bytes) and returns it as a `Picture`.

    Raises PictureError if it is missing, empty, of an unknown format, over the limits, or torn.
    """
    place = str(source) if isinstance(source, Path) else "picture bytes"
    data = read_file(source) if isinstance(source, Path) else source
    if not data:
        raise PictureError(
            "picture-empty",
            value="0 bytes",
            place=place,
            expected="a picture file",
            mend="Write the picture again or drop the row.",
        )
    if len(data) > limits.max_bytes:
        raise PictureError(
            "picture-too-many-bytes",
            value=f"{len(data)} bytes",
            place=place,
            expected=f"at most {limits.max_bytes} bytes",
            mend="Shrink the picture.",
        )
    with _loaded(data, place=place, limits=limits) as image:
        width, height = _upright_size(image)
    sha256 = hashlib.sha256(data).hexdigest()
    if isinstance(source, Path):
        return Picture(sha256=sha256, width=width, height=height, path=source)
    return Picture(sha256=sha256, width=width, height=height, data=data)


def read_bytes(picture: Picture) -> bytes:
    """The picture's file, checked against its hash.

    Raises PictureError if the file went away or changed since it was admitted.
    """
    if picture.data is not None:
        return picture.data
    assert picture.path is not None
    data = read_file(picture.path)
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise PictureError(
            "picture-changed",
            value=str(picture.path),
            place=str(picture.path),
            expected=f"the content with sha-256 {picture.sha256}, read before",
            mend="Put the picture back as it was, or begin a new run in another folder.",
        )
    return data


def open_rgb(picture: Picture) -> Image.Image:
    """The picture as it is meant to be seen: EXIF rotation applied, RGB, transparency on white."""
    return decode(read_bytes(picture), place=str(picture.path or picture.sha256))


def decode(data: bytes, *, place: str, limits: Limits = TRAINING_LIMITS) -> Image.Image:
    """Decodes a file's first frame to RGB; raises PictureError as `admit` does."""
    with _loaded(data, place=place, limits=limits) as image:
        return _to_rgb(upright(image))


def upright(image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF orientation says; anything else there is left."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


@contextmanager
def _loaded(data: bytes, *, place: str, limits: Limits) -> Iterator[Image.Image]:
    """The picture with its first frame decoded; whatever Pillow raises becomes a PictureError."""
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            image = Image.open(io.BytesIO(data), formats=limits.formats)
            _check_size(image.width * image.height, place=place, limits=limits)
            image.load()
            yield image
    except UnidentifiedImageError as error:
        raise PictureError(
            "picture-unknown-format",
            value=f"bytes that begin {data[:8]!r}",
            place=place,
            expected=f"a whole file of one of {', '.join(limits.formats)}",
            mend="Convert the picture, or check that the file is one and not cut short.",
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(str(error), place=place, limits=limits) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise PictureError(
            "picture-torn",
            value=str(error),
            place=place,
            expected="a whole picture file",
            mend="The file is damaged or cut short: fetch it again or drop the row.",
        ) from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after EXIF rotation."""
    quarter_turned = _turn(image) in _QUARTER_TURNS
    return (image.height, image.width) if quarter_turned else image.size


class PictureStore:
    """A folder that holds every picture once, named by its sha-256; safe for several writers."""

    def __init__(self, folder: Path, *, limits: Limits = TRAINING_LIMITS) -> None:
        self.folder = folder
        self.limits = limits

    def add(self, data: bytes) -> Picture:
        """Admits the bytes and returns a picture that lies in the store."""
        picture = admit(data, limits=self.limits)
        path = self.folder / picture.sha256[:2] / picture.sha256
        if not path.exists():
            write_bytes_atomically(path, data)
        return Picture(sha256=picture.sha256, width=picture.width, height=picture.height, path=path)


def read_file(path: Path) -> bytes:
    """The file's bytes, whatever they are; raises PictureError if it cannot be read.

    Devices and pipes, which may never end, are no files.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("no plain file")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise PictureError(
            "picture-missing",
            value=str(path),
            place=str(path),
            expected="a readable picture file",
            mend="Check the path; relative paths count from the folder of the data file.",
        ) from error


def _check_size(num_pixels: int, *, place: str, limits: Limits) -> None:
    if num_pixels > limits.max_pixels:
        raise _too_many_pixels(f"{num_pixels} pixels", place=place, limits=limits)


def _too_many_pixels(value: str, *, place: str, limits: Limits) -> PictureError:
    return PictureError(
        "picture-too-many-pixels",
        value=value,
        place=place,
        expected=f"at most {limits.max_pixels} pixels",
        mend="Shrink the picture.",
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB by the rules of `open_rgb`; 16-bit greys are scaled to 8 bits.

    32-bit and float ones do not say their range: it is taken to be 1, 255 or 65535, the least that
    holds their values.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_to_rgb(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=65535.0, neginf=0.0)
    is_wide = image.mode.startswith("I;16") or values.max(initial=0) > 255
    top = 65535.0 if image.mode.startswith("I") and is_wide else 255.0
    if image.mode == "F" and values.max(initial=0) <= 1.0:
        top = 1.0
    scaled = np.clip(values / top * 255.0, 0, 255).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


def stored(pair: PreferencePair, store: PictureStore) -> PreferencePair:
    """The pair with the pictures of its prompt in the store's files; raises as `admit` does."""
    shown = [store.add(read_bytes(one)) for one in pair.prompt.pictures]
    return replace(pair, prompt=pair.prompt.with_pictures(shown))
