from functools import partial

import pytest

from tests.sources.making import FLAT_ROW, png, read_pairs, spell
from vlreward.errors import DataError
from vlreward.pictures import admit
from vlreward.records import Message, PreferencePair, Prompt, Response
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences
from vlreward.sources.write import write_parquet


class FakeDataset:
    """A streamed data set without known features; it breaks after its rows, if told so."""

    features = None

    def __init__(self, rows, *, breaks=None):
        self._rows = rows
        self._breaks = breaks

    def __iter__(self):
        yield from self._rows
        if self._breaks is not None:
            raise self._breaks


def read(load_dataset, **settings):
    config = SourceConfig(path="hub:owner/name", **settings)
    return list(read_preferences(config, load_dataset=load_dataset))


def test_name_subset_split_and_revision_are_asked_for():
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return FakeDataset([FLAT_ROW])

    (pair,) = read(load_dataset, subset="s", split="test", revision="abc")
    (default,) = read(load_dataset)
    streaming = {"streaming": True}
    assert asked == [
        (("owner/name", "s"), {"split": "test", "revision": "abc", **streaming}),
        (("owner/name", None), {"split": "train", "revision": None, **streaming}),
    ]
    assert (pair.origin.source, pair.origin.split) == ("owner/name", "test")
    assert (default.origin.split, pair.origin.place) == ("train", "hub:owner/name (s/test):row 1")


def test_a_published_folder_streams_through_datasets_with_its_pictures_undecoded(tmp_path):
    import datasets

    picture = admit(png("red"))
    pair = PreferencePair(
        prompt=Prompt(messages=(Message(role="user", content=(picture, "What?")),)),
        chosen=Response(content=("A square.",)),
        rejected=Response(content=(picture,)),
    )
    write_parquet([pair], tmp_path / "data" / "train-00000-of-00001.parquet")
    load = partial(datasets.load_dataset, cache_dir=str(tmp_path / "cache"))

    def load_dataset(name, subset, *, revision, **kwargs):
        return load(str(tmp_path), subset, **kwargs)

    assert read(load_dataset) == [pair]


@pytest.mark.parametrize("error", [ConnectionError("no net"), ValueError("Unknown split 'dev'")])
def test_a_data_set_that_cannot_be_had_says_what_failed_and_what_to_do_offline(error):
    def load_dataset(*args, **kwargs):
        raise error

    with pytest.raises(DataError) as caught:
        read(load_dataset, split="dev", revision="abc")
    assert caught.value.code == "hub-not-read"
    assert caught.value.place == "hub:owner/name (split dev, revision abc)"
    assert str(error) in str(caught.value)
    assert "download the data set" in caught.value.mend


def test_a_connection_that_breaks_while_rows_stream_is_the_same_error():
    dataset = FakeDataset([FLAT_ROW], breaks=OSError("reset by peer"))
    rows = read_preferences(
        SourceConfig(path="hub:owner/name"), load_dataset=lambda *a, **k: dataset
    )
    assert isinstance(next(rows), PreferencePair)
    with pytest.raises(DataError, match="reset by peer"):
        next(rows)


def test_relative_picture_paths_on_the_hub_need_a_picture_folder(tmp_path):
    (tmp_path / "a.png").write_bytes(png("red"))
    row = {**FLAT_ROW, "images": ["a.png"]}
    (error,) = read(lambda *a, **k: FakeDataset([row]))
    assert error.code == "picture-no-folder"
    (pair,) = read(lambda *a, **k: FakeDataset([row]), picture_folder=str(tmp_path))
    assert spell(pair.prompt.messages[0].content) == ["[red]", "Which?"]


def test_the_real_library_offline_is_a_typed_error():
    with pytest.raises(DataError) as caught:
        read_pairs("hub:vlreward-tests/there-is-no-such-set")
    assert caught.value.code == "hub-not-read"
