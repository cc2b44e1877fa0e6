import io

import pytest
from PIL import Image

from tests.curation.making import drawing, saved
from vlreward.curation.neighbours import Cells
from vlreward.curation.same_pictures import PictureTolerance, representatives

CIRCLES = ((80, 80, "red"), (150, 140, "blue"))


def stands_for(tmp_path, *pictures):
    return representatives(
        {one.sha256: one.path for one in pictures},
        tolerance=PictureTolerance(),
        cells=Cells(),
        workspace=tmp_path,
    )


def is_copy(tmp_path, one, other):
    found = stands_for(tmp_path, one, other)
    return found[one.sha256] == found[other.sha256]


@pytest.mark.parametrize("name", ["75.jpg", "95.jpg", "80.webp", "90.png"])
def test_another_format_or_quality_is_a_copy(tmp_path, name):
    original = saved(drawing(*CIRCLES), tmp_path / "original.png")
    options = {} if name.endswith("png") else {"quality": int(name[:2])}
    image = drawing(*CIRCLES)
    if name.endswith("png"):
        image = image.point(lambda value: min(255, value + 1))
    assert is_copy(tmp_path, original, saved(image, tmp_path / name, **options))


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5, 2.0])
def test_another_size_is_a_copy(tmp_path, scale):
    original = saved(drawing(*CIRCLES), tmp_path / "original.png")
    size = round(240 * scale)
    resized = drawing(*CIRCLES).resize((size, size), Image.Resampling.LANCZOS)
    assert is_copy(tmp_path, original, saved(resized, tmp_path / "other.png"))


@pytest.mark.parametrize(
    "circles",
    [
        ((80, 80, "red"), (150, 146, "blue")),
        ((80, 80, "red"), (150, 140, "green")),
        ((80, 80, "red"), (150, 140, "blue"), (60, 180, "blue")),
        ((80, 80, "red"),),
        ((150, 140, "red"), (80, 80, "blue")),
    ],
)
def test_another_drawing_of_the_same_kind_is_none(tmp_path, circles):
    original = saved(drawing(*CIRCLES), tmp_path / "original.png")
    assert not is_copy(tmp_path, original, saved(drawing(*circles), tmp_path / "other.png"))


def test_another_shape_of_the_sheet_is_no_copy(tmp_path):
    original = saved(drawing(*CIRCLES), tmp_path / "original.png")
    wide = drawing(*CIRCLES).resize((300, 240))
    assert not is_copy(tmp_path, original, saved(wide, tmp_path / "wide.png"))


def test_one_stands_for_all_its_copies_in_whatever_order(tmp_path):
    image = drawing(*CIRCLES)
    copies = [
        saved(image, tmp_path / "a.png"),
        saved(image, tmp_path / "b.jpg", quality=90),
        saved(image, tmp_path / "c.webp", quality=90),
    ]
    other = saved(drawing((60, 60, "red")), tmp_path / "other.png")
    found = stands_for(tmp_path, *copies, other)
    assert len({found[one.sha256] for one in copies}) == 1
    assert found == stands_for(tmp_path, other, *copies[::-1])


def test_pictures_in_one_colour_are_no_copies_of_each_other(tmp_path):
    red, grey = (
        saved(Image.new("RGB", (64, 64), colour), tmp_path / f"{colour}.png")
        for colour in ("red", "grey")
    )
    assert not is_copy(tmp_path, red, grey)


def test_no_picture_and_one_picture_stand_for_themselves(tmp_path):
    one = saved(drawing(*CIRCLES), tmp_path / "one.png")
    assert stands_for(tmp_path) == {}
    assert stands_for(tmp_path, one) == {one.sha256: one.sha256}


def test_a_tiny_picture_is_compared_too(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (20000, 1), "red").save(buffer, "PNG")
    path = tmp_path / "thin.png"
    path.write_bytes(buffer.getvalue())
    thin = saved(Image.open(path), tmp_path / "copy.png")
    assert stands_for(tmp_path, thin) == {thin.sha256: thin.sha256}
