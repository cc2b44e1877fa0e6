import json
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.making import png, read_pairs
from vlreward.errors import DataError, PictureError
from vlreward.pictures import PictureStore, admit
from vlreward.records import (
    Judgment,
    Message,
    Origin,
    Picture,
    PreferencePair,
    Prompt,
    Response,
)
from vlreward.sources.write import write_jsonl, write_parquet

RED, GREEN, BLUE = (admit(png(color)) for color in ("red", "green", "blue"))
WRITERS = pytest.mark.parametrize(
    ("write", "name"), [(write_parquet, "set.parquet"), (write_jsonl, "set.jsonl")]
)


def pair(*content, chosen=("yes",), rejected=("no",), **more):
    return PreferencePair(
        prompt=Prompt(messages=(Message(role="user", content=content or ("?",)),)),
        chosen=Response(content=chosen, model=more.pop("model", None)),
        rejected=Response(content=rejected),
        **more,
    )


PAIRS = [
    pair("What is ", RED, " and ", RED, "?"),
    pair("Draw a square.", chosen=(GREEN, "done"), rejected=(BLUE,)),
    pair("Mind <image>, ", RED, chosen=("<image>",), rejected=("a\0b\u2028\u00e4\U0001f600",)),
    PreferencePair(
        prompt=Prompt(
            messages=(
                Message(role="system", content=()),
                Message(role="user", content=("One", " two", "")),
                Message(role="assistant", content=(RED,)),
                Message(role="user", content=(GREEN,)),
            )
        ),
        chosen=Response(content=("left",), model="m1"),
        rejected=Response(content=("right",), model="m2"),
        judgment=Judgment(kind="human", judge="j", confidence=0.9, margin=-1.5),
        origin=Origin(source="s", row_id="7", task="t", split="val", place="x:1"),
    ),
]


@WRITERS
def test_reading_back_gives_equal_pairs_with_their_ids(tmp_path, write, name):
    assert write(PAIRS, tmp_path / name) == 4
    back = read_pairs(tmp_path / name)
    assert back == PAIRS
    assert [p.id for p in back] == [p.id for p in PAIRS]
    assert back[3].judgment == PAIRS[3].judgment
    assert (back[3].chosen.model, back[3].rejected.model) == ("m1", "m2")
    for old, new in zip(PAIRS, back, strict=True):
        fields = ("source", "row_id", "task", "split")
        assert [getattr(new.origin, f) for f in fields] == [getattr(old.origin, f) for f in fields]


@WRITERS
def test_writing_what_was_read_makes_the_same_bytes(tmp_path, write, name):
    write(PAIRS, tmp_path / name)
    store = PictureStore(tmp_path / "store")
    write(read_pairs(tmp_path / name, store=store), tmp_path / "again" / name)
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_datasets_opens_a_published_file_with_pictures(tmp_path):
    import datasets

    write_parquet(PAIRS, tmp_path / "set.parquet")
    opened = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "set.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert opened.features["images"] == datasets.List(datasets.Image())
    row = opened[1]
    assert [image.getpixel((0, 0)) for image in row["images"]] == [(0, 128, 0), (0, 0, 255)]
    assert row["chosen"][0]["content"][0]["type"] == "image"
    assert (row["id"], row["source"]) == (PAIRS[1].id, "unknown")


TEXTS = [
    pair("Mind <image>, "),
    pair("One", " two", "", chosen=("a", "b", "<image>")),
    replace(PAIRS[3], prompt=Prompt(messages=PAIRS[3].prompt.messages[:2])),
]


def test_a_set_without_pictures_has_plain_contents_and_the_same_ids(tmp_path):
    import datasets

    assert write_parquet(TEXTS, tmp_path / "set.parquet", has_pictures=False) == 3
    back = read_pairs(tmp_path / "set.parquet")
    assert [one.id for one in back] == [one.id for one in TEXTS]
    assert [one.chosen.text for one in back] == [one.chosen.text for one in TEXTS]
    assert back[2].judgment == TEXTS[2].judgment and back[2].chosen.model == "m1"
    opened = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "set.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert "images" not in opened.features
    assert opened[0]["prompt"] == [{"role": "user", "content": "Mind <image>, "}]
    assert opened[1]["chosen"] == [{"role": "assistant", "content": "ab<image>"}]
    assert opened[1]["id"] == TEXTS[1].id


def test_a_published_row_whose_pictures_and_parts_differ_is_refused(tmp_path):
    write_jsonl([pair("What is ", RED)], tmp_path / "set.jsonl")
    row = json.loads((tmp_path / "set.jsonl").read_text())
    row["prompt"][0]["content"] = [{"type": "text", "text": "What is it?"}]
    (tmp_path / "set.jsonl").write_text(json.dumps(row))
    with pytest.raises(AssertionError, match="markers-mismatch"):
        read_pairs(tmp_path / "set.jsonl")


def test_large_sets_are_written_in_groups_small_enough_to_stream(tmp_path):
    import pyarrow.parquet as pq

    pairs = (pair(f"question {number}") for number in range(600))
    write_parquet(pairs, tmp_path / "set.parquet")
    file = pq.ParquetFile(tmp_path / "set.parquet")
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    file.close()
    assert sizes == [256, 256, 88]


@WRITERS
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, write, name):
    write(PAIRS[:1], tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def failing():
        yield PAIRS[1]
        raise RuntimeError("the disk of life is full")

    with pytest.raises(RuntimeError):
        write(failing(), tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert os.listdir(tmp_path) == [name]


@WRITERS
def test_text_that_is_not_utf8_and_pictures_that_changed_are_refused(tmp_path, write, name):
    with pytest.raises(DataError) as caught:
        write([pair("half \ud83d")], tmp_path / name)
    assert caught.value.code == "text-surrogate"
    (tmp_path / "a.png").write_bytes(png("red"))
    picture = admit(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(png("blue"))
    with pytest.raises(PictureError):
        write([pair(picture)], tmp_path / name)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
contents = st.lists(texts | st.sampled_from([RED, GREEN]), min_size=1).map(tuple)


def says_something(content: tuple[str | Picture, ...]) -> bool:
    return any(isinstance(part, Picture) or part.strip() for part in content)


answers = contents.filter(says_something)
rows = st.tuples(answers, answers, answers).map(
    lambda made: pair(*made[0], chosen=made[1], rejected=made[2])
)


@WRITERS
@given(made=st.lists(rows, min_size=1, max_size=4))
@settings(max_examples=20)
def test_any_pairs_come_back_as_they_were(tmp_path_factory, write, name, made):
    made = [p for p in made if p.id != p.swapped().id] or PAIRS
    path = tmp_path_factory.mktemp("set") / name
    write(made, path)
    assert read_pairs(path) == made
