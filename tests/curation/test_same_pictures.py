import pytest
from PIL import Image

from tests.curation.making import drawing, saved
from vlreward.curation.neighbours import Cells
from vlreward.curation.same_pictures import PictureTolerance, representatives

CIRCLES = ((80, 80, "red"), (150, 140, "blue"))


def stands_for(tmp_path, *pictures):
    found = representatives(
        {one.sha256: one.path for one in pictures},
        tolerance=PictureTolerance(),
        cells=Cells(),
        workspace=tmp_path,
    )
    return {one.sha256: found.get(one.sha256, one.sha256) for one in pictures}


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


def test_a_picture_of_one_row_is_compared_too(tmp_path):
    image = Image.new("RGB", (4000, 1), "white")
    for x in range(1000, 2000):
        image.putpixel((x, 0), (0, 0, 0))
    thin = saved(image, tmp_path / "thin.png")
    copy = saved(image, tmp_path / "copy.jpg", quality=95)
    other = saved(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), tmp_path / "other.png")
    found = stands_for(tmp_path, thin, copy, other)
    assert found[thin.sha256] == found[copy.sha256] != found[other.sha256]


def test_those_that_come_first_stand_for_the_others(tmp_path):
    image = drawing(*CIRCLES)
    copies = [
        saved(image, tmp_path / f"{quality}.jpg", quality=quality) for quality in (85, 90, 95)
    ]
    for chosen in copies:
        found = representatives(
            {one.sha256: one.path for one in copies},
            tolerance=PictureTolerance(),
            cells=Cells(),
            workspace=tmp_path,
            first={chosen.sha256},
        )
        assert set(found.values()) == {chosen.sha256} and len(found) == 2


def test_a_picture_that_went_away_is_named(tmp_path):
    one = saved(drawing(*CIRCLES), tmp_path / "one.png")
    other = saved(drawing((60, 60, "red")), tmp_path / "other.png")
    other.path.unlink()
    with pytest.raises(Exception, match=r"other\.png"):
        stands_for(tmp_path, one, other)
