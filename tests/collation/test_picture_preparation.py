"""Pictures become the patches that transformers' own Pillow processor makes of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)

from vlreward.collation.picture_preparation import (
    Grid,
    PicturePreparation,
    load_picture_preparation,
)
from vlreward.errors import CheckpointError, PictureError
from vlreward.pictures import admit, open_rgb
from vlreward.records import Picture

TOLERANCE = 1e-6
BICUBIC = Image.Resampling.BICUBIC
PUBLISHED = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
}


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def saved(image: Image.Image, format: str = "PNG", **options: object) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return admit(buffer.getvalue())


def of_size(width: int, height: int) -> Picture:
    """A picture known by its size alone: enough for its grid."""
    return Picture(sha256="0" * 64, width=width, height=height, data=b"")


def processed(
    image: Image.Image, preparation: PicturePreparation, **options: object
) -> tuple[npt.NDArray[np.float32], Grid]:
    """Patches and grid by transformers."""
    processor = Qwen2VLImageProcessorPil(
        patch_size=preparation.patch_size,
        merge_size=preparation.merge_size,
        temporal_patch_size=preparation.temporal_patch_size,
        min_pixels=preparation.min_pixels,
        max_pixels=preparation.max_pixels,
        image_mean=list(preparation.mean),
        image_std=list(preparation.std),
    )
    found = processor(images=[image], return_tensors="np", **options)
    return found["pixel_values"], Grid(*found["image_grid_thw"][0].tolist())


def resized_in_two_steps(image: Image.Image, grid: Grid, patch_size: int) -> Image.Image:
    width, height = grid.width * patch_size, grid.height * patch_size
    return image.resize((width, image.height), BICUBIC).resize((width, height), BICUBIC)


@pytest.mark.parametrize("patch_size", [14, 16])
@pytest.mark.parametrize(
    "size", [(1, 1), (5, 3), (28, 28), (187, 18), (18, 187), (200, 1), (97, 131), (640, 480)]
)
def test_patches_are_transformers_own_of_the_resized_picture(
    size: tuple[int, int], patch_size: int
) -> None:
    preparation = PicturePreparation(patch_size=patch_size, max_pixels=200_000)
    image = noise(*size)
    picture = saved(image)
    grid = preparation.grid(picture)
    resized = resized_in_two_steps(image, grid, patch_size)
    expected, expected_grid = processed(resized, preparation, do_resize=False)
    assert grid == expected_grid
    np.testing.assert_allclose(preparation.prepare(picture), expected, atol=TOLERANCE, rtol=0)


@settings(max_examples=30)
@given(width=st.integers(1, 300), height=st.integers(1, 300), patch_size=st.sampled_from([14, 16]))
def test_the_whole_is_transformers_own_where_pillow_resizes_horizontally_first(
    width: int, height: int, patch_size: int
) -> None:
    assume(max(width, height) <= 200 * min(width, height))
    preparation = PicturePreparation(patch_size=patch_size, max_pixels=50_000)
    image = noise(width, height)
    picture = saved(image)
    grid = preparation.grid(picture)
    expected, expected_grid = processed(image, preparation)
    assert grid == expected_grid
    two_steps = resized_in_two_steps(image, grid, patch_size)
    patches = preparation.prepare(picture)
    assert patches.shape == expected.shape
    if np.array_equal(two_steps, image.resize(two_steps.size, BICUBIC)):
        np.testing.assert_allclose(patches, expected, atol=TOLERANCE, rtol=0)


def test_some_pictures_are_resized_otherwise_by_pillow_alone() -> None:
    """Or else the two-step order, and the condition of the test above, would be idle."""
    shares = []
    for size in [(300, 40), (40, 300), (90, 210)]:
        image = noise(*size)
        two_steps = image.resize((112, size[1]), BICUBIC).resize((112, 112), BICUBIC)
        shares.append(np.array_equal(two_steps, image.resize((112, 112), BICUBIC)))
    assert any(shares)


@example(width=1, height=1, factor=28, low=3136, high=12_845_056)
@example(width=187, height=18, factor=28, low=3136, high=12_845_056)
@example(width=2520, height=8526, factor=28, low=3136, high=12_845_056)
@example(width=2520, height=8526, factor=32, low=65_536, high=16_777_216)
@example(width=13, height=2600, factor=28, low=1, high=784)
@given(
    width=st.integers(1, 12_000),
    height=st.integers(1, 12_000),
    factor=st.sampled_from([28, 32]),
    low=st.integers(1, 500_000),
    high=st.integers(784, 16_777_216),
)
def test_grids_are_those_of_transformers(
    width: int, height: int, factor: int, low: int, high: int
) -> None:
    assume(max(width, height) <= 200 * min(width, height) and low <= high)
    patch_size = factor // 2
    preparation = PicturePreparation(patch_size=patch_size, min_pixels=low, max_pixels=high)
    picture = of_size(width, height)
    expected = smart_resize(height, width, factor=factor, min_pixels=low, max_pixels=high)
    grid = preparation.grid(picture)
    assert grid == Grid(1, expected[0] // patch_size, expected[1] // patch_size)
    assert preparation.num_tokens(picture) == expected[0] * expected[1] // factor**2 > 0


@pytest.mark.parametrize("size", [(201, 1), (1, 201), (8041, 40)])
def test_a_picture_too_narrow_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=rf"{size[0]}x{size[1]} pixels.*200-fold.*Crop or pad"):
        PicturePreparation().grid(of_size(*size))


def odd_pictures() -> dict[str, Picture]:
    """Pictures of 60 by 40 as seen, in modes that files come in."""
    base = noise(60, 40)
    deep = np.random.default_rng(1).integers(0, 65_536, size=(40, 60), dtype=np.uint16)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1)))
    veiled = base.copy()
    veiled.putalpha(alpha)
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "RGBA": saved(veiled),
        "palette": saved(base.convert("P")),
        "palette with transparency": saved(base.convert("P"), transparency=3),
        "16-bit grey": saved(Image.fromarray(deep)),
        "grey with alpha": saved(veiled.convert("LA")),
        "CMYK": saved(base.convert("CMYK"), "JPEG"),
        "1-bit": saved(base.convert("1")),
        "float": saved(Image.fromarray(deep.astype(np.float32)), "TIFF"),
        "animated": saved(base, "GIF", save_all=True, append_images=[noise(60, 40, seed=2)]),
        "EXIF-rotated": saved(base.transpose(Image.Transpose.ROTATE_90), "PNG", exif=turned),
    }


@pytest.mark.parametrize("name", odd_pictures())
def test_odd_pictures_are_prepared_as_their_upright_rgb(name: str) -> None:
    picture = odd_pictures()[name]
    preparation = PicturePreparation()
    patches = preparation.prepare(picture)
    assert preparation.grid(picture) == Grid(1, 4, 6)
    assert patches.shape == (24, 3 * 2 * 14 * 14)
    assert patches.dtype == np.float32
    assert np.isfinite(patches).all() and patches.std() > 0.1
    plain = saved(open_rgb(picture))
    np.testing.assert_array_equal(patches, preparation.prepare(plain))


def test_an_exif_rotated_picture_equals_the_upright_one() -> None:
    turned, upright = odd_pictures()["EXIF-rotated"], saved(noise(60, 40))
    preparation = PicturePreparation()
    assert (turned.width, turned.height) == (60, 40)
    np.testing.assert_array_equal(preparation.prepare(turned), preparation.prepare(upright))


SPELLINGS = [
    {},
    {"min_pixels": 784, "max_pixels": 100_352},
    {"size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}},
    {"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 784, "max_pixels": 9999},
    {"patch_size": 16, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.4, 0.3]},
]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("fields", SPELLINGS)
def test_a_folders_settings_are_read_as_transformers_reads_them(
    tmp_path: Path, fields: dict[str, object], nested: bool
) -> None:
    settings = PUBLISHED | fields
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    theirs = Qwen2VLImageProcessorPil.from_pretrained(tmp_path)
    if nested:
        (tmp_path / "preprocessor_config.json").unlink()
        (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    ours = load_picture_preparation(tmp_path)
    assert ours.patch_size == theirs.patch_size
    assert ours.merge_size == theirs.merge_size
    assert ours.temporal_patch_size == theirs.temporal_patch_size
    assert ours.min_pixels == theirs.size["shortest_edge"]
    assert ours.max_pixels == theirs.size["longest_edge"]
    assert ours.mean == pytest.approx(tuple(theirs.image_mean))
    assert ours.std == pytest.approx(tuple(theirs.image_std))


def test_limits_given_go_before_the_folders(tmp_path: Path) -> None:
    fields = PUBLISHED | {"min_pixels": 3136, "max_pixels": 50_176}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(fields))
    read = load_picture_preparation(tmp_path, min_pixels=784, max_pixels=25_088)
    assert (read.min_pixels, read.max_pixels) == (784, 25_088)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "preprocessor-missing"),
        ("{", "preprocessor-unreadable"),
        ("[]", "preprocessor-missing"),
        ('{"image_processor": 3}', "preprocessor-missing"),
        ('{"image_mean": [0, 0, 0]}', "preprocessor-missing"),
        ('{"patch_size": "wide"}', "preprocessor-invalid"),
        ('{"patch_size": 0}', "preprocessor-invalid"),
        ('{"patch_size": 14, "image_mean": [0.5]}', "preprocessor-invalid"),
        ('{"patch_size": 14, "image_std": [0.5, 0.0, 0.5]}', "preprocessor-invalid"),
        ('{"patch_size": 14, "max_pixels": "many"}', "preprocessor-invalid"),
        ('{"patch_size": 14, "min_pixels": 5000, "max_pixels": 4000}', "pixel-limits-crossed"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, text: str | None, code: str
) -> None:
    if text is not None:
        (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        load_picture_preparation(tmp_path)
    assert caught.value.code == code
    assert str(tmp_path) in str(caught.value)
