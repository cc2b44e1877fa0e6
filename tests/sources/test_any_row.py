"""Whatever stands in a row, reading gives a pair or an error that can be printed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.making import data_uri, write_rows
from vlreward.errors import DataError
from vlreward.records import PreferencePair
from vlreward.sources.config import SourceConfig
from vlreward.sources.fields import KNOWN_FIELDS
from vlreward.sources.read import Comparison, load_preferences, read_comparisons

FORMATS = ("auto", "vlreward", "trl", "sharegpt", "ms-swift", "neutral")

texts = st.text(max_size=8) | st.sampled_from(
    ["<image>", "<image>what?", "\ud800", "a.png", data_uri("red"), "user", "assistant", "image"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
names = st.sampled_from(
    ["role", "content", "from", "value", "type", "text", "image", "image_url", "url", "bytes"]
)
messages = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant", "system", "human", "x"]),
    texts | st.lists(st.sampled_from([{"type": "image"}, {"type": "text", "text": "<image>"}])),
)
values = st.recursive(
    leaves | messages,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | texts, inner, max_size=3),
    max_leaves=8,
)
rows = st.dictionaries(st.sampled_from(KNOWN_FIELDS) | texts, values, max_size=8)
likely = st.fixed_dictionaries(
    {"prompt": texts | st.lists(messages, max_size=3)},
    optional={
        "chosen": texts | messages | st.lists(messages, max_size=3),
        "rejected": texts | messages | st.lists(messages, max_size=3),
        "messages": st.lists(messages, max_size=3),
        "conversations": st.lists(messages, max_size=3),
        "rejected_response": texts,
        "responses": st.lists(texts | messages, max_size=3),
        "images": st.lists(st.just(data_uri("red")) | values, max_size=3),
        "rejected_images": st.lists(st.just(data_uri("red")), max_size=3),
        "margin": leaves,
        "confidence": leaves,
        "id": leaves,
        "system": leaves,
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@pytest.mark.parametrize("format", FORMATS)
@given(made=st.lists(rows | likely | values, min_size=1, max_size=3))
@settings(max_examples=50)
def test_any_rows_read_as_pairs_or_are_refused_with_a_printable_sentence(folder, made, format):
    path = write_rows(folder / "rows.jsonl", *made)
    try:
        loaded = load_preferences([SourceConfig(path=str(path), format=format)])
    except DataError as error:
        str(error).encode()
        return
    assert len(loaded.pairs) + len(loaded.refused) == len(made)
    assert all(isinstance(pair, PreferencePair) for pair in loaded.pairs)
    for error in loaded.refused:
        assert error.place.startswith(str(path))
        str(error).encode()


@given(made=st.lists(likely, min_size=1, max_size=3))
def test_any_rows_read_as_comparisons_or_are_refused(folder, made):
    path = write_rows(folder / "rows.jsonl", *made)
    try:
        items = list(read_comparisons(SourceConfig(path=str(path))))
    except DataError as error:
        str(error).encode()
        return
    assert len(items) == len(made)
    assert all(isinstance(item, (Comparison, DataError)) for item in items)


@given(data=st.binary(max_size=60) | st.just(json.dumps([{"a": 1}])[:-1].encode()))
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_any_bytes_in_a_file_are_refused_as_data_errors(folder, data, name):
    (folder / name).write_bytes(data)
    try:
        assert load_preferences([SourceConfig(path=str(folder / name))]).pairs == []
    except DataError as error:
        str(error).encode()
