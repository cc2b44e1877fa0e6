"""Whatever passes admission decodes to RGB as a person sees it; whatever does not is refused."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from vlreward.errors import PictureError
from vlreward.pictures import (
    SERVER_LIMITS,
    Limits,
    PictureStore,
    admit,
    decode,
    open_rgb,
    read_bytes,
)

WHITE, RED, BLUE, BLACK = (255, 255, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(size: tuple[int, int] = (40, 30)) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def seen(data: bytes) -> Image.Image:
    image = open_rgb(admit(data))
    assert image.mode == "RGB"
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + end


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    assert seen(encode(noise(), kind)).tobytes() == noise().tobytes()


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {"lossless": True}), ("JPEG", {})])
def test_other_formats_decode(kind: str, options: dict[str, Any]) -> None:
    assert seen(encode(noise(), kind, **options)).size == (40, 30)


def test_transparent_pixels_become_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    rgb = seen(encode(image))
    assert (rgb.getpixel((0, 0)), rgb.getpixel((1, 0))) == (RED, WHITE)


def test_half_transparent_pixels_mix_with_white() -> None:
    rgb = seen(encode(Image.new("RGBA", (1, 1), (0, 0, 0, 128))))
    assert rgb.getpixel((0, 0)) == (127, 127, 127)


def test_grey_with_transparency_becomes_white_where_it_is_transparent() -> None:
    image = Image.new("LA", (2, 1), (0, 255))
    image.putpixel((1, 0), (0, 0))
    rgb = seen(encode(image))
    assert (rgb.getpixel((0, 0)), rgb.getpixel((1, 0))) == (BLACK, WHITE)


def test_a_palette_with_a_transparent_entry_becomes_white_there() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    rgb = seen(encode(image, transparency=1))
    assert (rgb.getpixel((0, 0)), rgb.getpixel((1, 0))) == (RED, WHITE)


def test_a_palette_without_transparency_keeps_its_colours() -> None:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([*RED, *BLUE])
    assert seen(encode(image)).getpixel((0, 0)) == BLUE


def test_rgb_with_a_transparent_colour_becomes_white_there() -> None:
    image = Image.new("RGB", (1, 1), RED)
    assert seen(encode(image, transparency=RED)).getpixel((0, 0)) == WHITE


def test_cmyk_becomes_rgb() -> None:
    rgb = seen(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = np.asarray(rgb)[4, 4]
    assert red > 240
    assert max(green, blue) < 15


def test_16_bit_grey_keeps_its_range() -> None:
    values = np.array([[0, 32768, 65535]], dtype=np.uint16)
    rgb = seen(encode(Image.fromarray(values)))
    assert [rgb.getpixel((x, 0))[0] for x in range(3)] == [0, 127, 255]


def test_float_grey_is_scaled_and_nan_is_black() -> None:
    values = np.array([[0.0, 1.0, np.nan]], dtype=np.float32)
    rgb = seen(encode(Image.fromarray(values), "TIFF"))
    assert [rgb.getpixel((x, 0))[0] for x in range(3)] == [0, 255, 0]


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.new("1", (2, 1), 0)
    image.putpixel((1, 0), 1)
    rgb = seen(encode(image))
    assert (rgb.getpixel((0, 0)), rgb.getpixel((1, 0))) == (BLACK, WHITE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied_and_told_in_the_size(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.new("RGB", (30, 10), RED), kind, exif=exif)
    picture = admit(data)
    assert (picture.width, picture.height) == (10, 30)
    assert open_rgb(picture).size == (10, 30)


def test_an_animated_gif_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert seen(data).getpixel((0, 0)) == RED


def test_a_picture_is_known_by_its_files_hash(tmp_path: Path) -> None:
    data = encode(noise())
    path = tmp_path / "noise.png"
    path.write_bytes(data)
    picture = admit(path)
    assert picture == admit(data)
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert (picture.width, picture.height, picture.path) == (40, 30, path)
    assert read_bytes(picture) == read_bytes(admit(data)) == data


def test_the_longest_strip_is_admitted() -> None:
    assert admit(encode(Image.new("L", (20_000, 1)))).width == 20_000


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "picture-empty"),
        (b"hello, I am a text", "picture-unknown-format"),
        (SVG, "picture-unknown-format"),
        (EPS, "picture-unknown-format"),
        (b"\x89PNG", "picture-unknown-format"),
        (encode(noise())[:-400], "picture-torn"),
        (encode(noise(), "JPEG")[:-400], "picture-torn"),
        (encode(noise(), "WEBP")[:-100], "picture-torn"),
        (png_header(4, 4), "picture-torn"),
        (png_header(0, 4), "picture-unknown-format"),
        (png_header(20_000, 20_000), "picture-too-many-pixels"),
        (png_header(13_350, 13_350), "picture-too-many-pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_whole_picture_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(PictureError) as caught:
        admit(data)
    assert caught.value.code == code
    assert caught.value.place == "picture bytes"


def test_a_missing_file_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        admit(tmp_path / "gone.png")
    assert caught.value.code == "picture-missing"
    assert caught.value.place == str(tmp_path / "gone.png")


def test_a_file_that_changed_since_it_was_admitted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    path.write_bytes(encode(noise()))
    picture = admit(path)
    path.write_bytes(encode(noise((8, 8))))
    with pytest.raises(PictureError, match="picture-changed"):
        open_rgb(picture)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(max_bytes=100), "picture-too-many-bytes"),
        (Limits(max_pixels=1199), "picture-too-many-pixels"),
        (Limits(formats=("JPEG",)), "picture-unknown-format"),
    ],
)
def test_limits_are_the_callers(limits: Limits, code: str) -> None:
    with pytest.raises(PictureError) as caught:
        admit(encode(noise()), limits=limits)
    assert caught.value.code == code
    admit(encode(noise()), limits=Limits(max_pixels=1200))


def test_a_server_takes_less_than_training_does() -> None:
    with pytest.raises(PictureError, match="picture-unknown-format"):
        admit(encode(noise(), "TIFF"), limits=SERVER_LIMITS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM"])
def test_a_damaged_file_decodes_or_is_refused_but_never_crashes(kind: str) -> None:
    rng = random.Random(kind)
    whole = encode(noise((12, 9)), kind)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 2, 8))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        data = bytes(damaged[: rng.randrange(1, 2 * len(damaged))])
        try:
            image = decode(data, place="damaged")
        except PictureError:
            continue
        assert image.mode == "RGB"


def test_a_store_holds_each_picture_once(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "pictures")
    data = encode(noise())
    first, again, other = store.add(data), store.add(data), store.add(encode(noise((8, 8))))
    assert first == again != other
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == sorted([first.path, other.path])
    assert read_bytes(first) == data


def test_a_store_refuses_what_admission_refuses(tmp_path: Path) -> None:
    with pytest.raises(PictureError):
        PictureStore(tmp_path).add(b"no picture")
    assert list(tmp_path.iterdir()) == []


def test_several_writers_may_add_the_same_picture_at_once(tmp_path: Path) -> None:
    data = encode(noise())
    store, errors = PictureStore(tmp_path), []
    together = threading.Barrier(8)

    def add() -> None:
        together.wait()
        try:
            store.add(data)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.realdata
def test_real_pictures_are_admitted(shared_data: Path) -> None:
    for folder in ("mathvision", "blindtest", "puzzlevqa"):
        paths = sorted((shared_data / folder / "images").iterdir())[:10]
        assert paths
        assert all(admit(path).width > 0 for path in paths)


def test_a_picture_whose_exif_cannot_be_written_again_is_turned_all_the_same() -> None:
    description = struct.pack("<HHII", 0x010E, 12, 1, 38)  # a float where a text belongs
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = struct.pack("<2sHIH", b"II", 42, 8, 2) + description + orientation
    tiff += struct.pack("<Id", 0, 1.5)
    data = encode(noise(), "JPEG", exif=b"Exif\x00\x00" + tiff)
    with pytest.raises((AttributeError, struct.error)):
        ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert open_rgb(admit(data)).size == (30, 40)


def test_a_dark_16_bit_picture_stays_dark() -> None:
    values = np.full((8, 8), 300, dtype=np.uint16)
    values[0, 0] = 200
    bright = open_rgb(admit(encode(Image.fromarray(values), "PNG")))
    values[:] = 200
    dark = open_rgb(admit(encode(Image.fromarray(values), "PNG")))
    assert np.asarray(bright).max() == 1 and np.asarray(dark).max() == 0


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(PictureError) as refused:
            admit(path)
        assert refused.value.code == "picture-missing"
