import pytest

from tests.sources.making import data_uri, png, write_pictures
from vlreward.errors import DataError
from vlreward.pictures import PictureStore
from vlreward.sources.attachments import PictureReader, images_of, unwrap


def read(value, *, folder=None, store=None):
    source = unwrap(value, field="images[0]")
    return PictureReader(store).read(source, folder=folder, field="images[0]")


def test_a_picture_reads_alike_from_a_path_bytes_a_data_uri_and_an_image_column(tmp_path):
    write_pictures(tmp_path, "red")
    forms = [
        "red.png",
        str(tmp_path / "red.png"),
        png("red"),
        data_uri("red"),
        {"bytes": png("red"), "path": None},
        {"bytes": None, "path": "red.png"},
        {"url": data_uri("red")},
    ]
    assert len({read(form, folder=tmp_path) for form in forms}) == 1


def test_pictures_by_path_stay_where_they_are(tmp_path):
    write_pictures(tmp_path, "red")
    store = PictureStore(tmp_path / "store")
    assert read("red.png", folder=tmp_path, store=store).path == tmp_path / "red.png"
    assert not store.folder.exists()


def test_embedded_pictures_go_to_the_store_or_stay_in_memory(tmp_path):
    store = PictureStore(tmp_path / "store")
    stored = read(png("red"), store=store)
    assert stored.path is not None
    assert stored.path.is_relative_to(store.folder)
    assert read(png("red")).data == png("red")


def test_a_picture_met_again_is_not_decoded_again(tmp_path):
    write_pictures(tmp_path, "red")
    reader = PictureReader(None)
    first = reader.read("red.png", folder=tmp_path, field="images[0]")
    assert reader.read("red.png", folder=tmp_path, field="images[0]") is first


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("gone.png", "picture-missing"),
        ("", "picture-missing"),
        ("nul\0byte.png", "picture-missing"),
        (".", "picture-missing"),
        ("https://example.org/a.png", "picture-remote"),
        ("hf://datasets/a/b/c.png", "picture-remote"),
        (b"", "picture-empty"),
        (b"no picture", "picture-unknown-format"),
        (png("red")[:50], "picture-torn"),
        ("data:image/png;base64,!!", "picture-data-uri"),
        ("data:image/png,abc", "picture-data-uri"),
        (7, "field-type"),
        (None, "field-type"),
        ({"bytes": None, "path": None}, "field-type"),
        ({"bytes": "abc"}, "field-type"),
        ("\ud800.png", "text-surrogate"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_by_its_field(tmp_path, value, code):
    with pytest.raises(DataError) as caught:
        read(value, folder=tmp_path)
    assert caught.value.code == code
    assert caught.value.place.startswith("images[0]")


def test_a_remote_picture_says_to_download_it_first():
    with pytest.raises(DataError, match="Download the pictures first"):
        read("http://example.org/a.png")


def test_a_relative_path_without_a_folder_is_refused():
    with pytest.raises(DataError, match="picture_folder") as caught:
        read("a.png")
    assert caught.value.code == "picture-no-folder"


def test_a_single_image_counts_as_a_list_of_one():
    assert images_of({"images": "a.png"}) == images_of({"image": "a.png"}) == ("a.png",)
    assert images_of({"image": {"bytes": b"x", "path": None}, "images": None}) == (b"x",)
    assert images_of({"images": None}) == images_of({"images": []}) == images_of({}) == ()


def test_images_and_image_together_are_refused():
    with pytest.raises(DataError) as caught:
        images_of({"images": ["a.png"], "image": "b.png"})
    assert caught.value.code == "images-twice"
