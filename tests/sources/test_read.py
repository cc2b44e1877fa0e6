import pytest

from tests.sources.making import (
    FLAT_ROW,
    TRL_ROW,
    png,
    read_all,
    read_pairs,
    write_pictures,
    write_rows,
)
from vlreward.errors import DataError
from vlreward.records import PreferencePair
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import load_preferences, read_preferences


def test_a_bad_row_is_named_and_the_rest_go_on(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", FLAT_ROW, b"{", {**FLAT_ROW, "chosen": ""}, FLAT_ROW)
    items = read_all(path)
    assert [type(item) for item in items] == [PreferencePair, DataError, DataError, PreferencePair]
    assert items[1].place.startswith(f"{path}:2")
    assert items[2].place == f"{path}:3 (id 'r1'): chosen"


def test_a_bad_first_row_does_not_hide_the_form_of_the_rest(tmp_path):
    misspelt = {("chossen" if key == "chosen" else key): value for key, value in FLAT_ROW.items()}
    path = write_rows(tmp_path / "a.jsonl", b"{", misspelt, FLAT_ROW)
    torn, bad, good = read_all(path)
    assert torn.code == "json-invalid"
    assert bad.code == "field-missing"
    assert "'chossen': did you mean 'chosen'?" in str(bad)
    assert good.origin.place == f"{path}:3"


def test_rows_of_no_known_form_are_an_error_of_the_file(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", *[{"question": "?", "answer": "!"}] * 300)
    with pytest.raises(DataError, match="the fields question, answer") as caught:
        read_all(path)
    assert caught.value.code == "format-unknown"
    assert caught.value.place == f"{path}:1"


def test_a_file_in_which_nothing_is_a_row_is_an_error_of_the_file(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", *[b"no JSON"] * 300)
    with pytest.raises(DataError) as caught:
        read_all(path)
    assert caught.value.code == "json-invalid"
    few = write_rows(tmp_path / "few.jsonl", b"no JSON")
    assert [item.code for item in read_all(few)] == ["json-invalid"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_an_empty_file_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"\n")
    with pytest.raises(DataError) as caught:
        read_all(tmp_path / name)
    assert caught.value.code == "file-empty"


def test_problems_with_the_path_are_raised_before_the_first_row(tmp_path):
    with pytest.raises(DataError):
        read_preferences(SourceConfig(path=str(tmp_path / "gone.jsonl")))


def test_a_format_set_by_name_is_used_without_guessing(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", TRL_ROW, {"messages": []})
    pair, error = read_all(path, format="trl")
    assert pair.chosen.text == "The left."
    assert error.code == "field-missing"


def test_rows_stream(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", *[FLAT_ROW] * 3)
    rows = read_preferences(SourceConfig(path=str(path)))
    assert isinstance(next(rows), PreferencePair)


def test_shards_read_in_order_of_their_names(tmp_path):
    write_rows(tmp_path / "b.jsonl", {**FLAT_ROW, "id": "2"})
    write_rows(tmp_path / "a.jsonl", {**FLAT_ROW, "id": 1})
    assert [pair.origin.row_id for pair in read_pairs(tmp_path)] == ["1", "2"]


def test_the_limit_counts_rows_over_all_shards(tmp_path):
    write_rows(tmp_path / "a.jsonl", FLAT_ROW, b"{")
    write_rows(tmp_path / "b.jsonl", FLAT_ROW, FLAT_ROW)
    assert len(read_all(tmp_path, limit=3)) == 3
    assert len(read_all(tmp_path, limit=9)) == 4


def test_a_split_keeps_its_rows_only(tmp_path):
    rows = [{**FLAT_ROW, "id": str(i), "split": "val" if i % 3 else "train"} for i in range(6)]
    path = write_rows(tmp_path / "a.jsonl", *rows, FLAT_ROW)
    *pairs, error = read_all(path, split="val")
    assert [pair.origin.row_id for pair in pairs] == ["1", "2", "4", "5"]
    assert (error.code, error.place.endswith("split")) == ("field-missing", True)


def test_a_split_that_no_row_has_is_an_error_that_lists_the_splits(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", {**FLAT_ROW, "split": "train"})
    with pytest.raises(DataError, match="the splits train") as caught:
        read_all(path, split="test")
    assert caught.value.code == "split-empty"


def test_the_source_is_the_given_name_then_the_rows_own_then_the_files_stem(tmp_path):
    path = write_rows(tmp_path / "stem.jsonl", FLAT_ROW, {**FLAT_ROW, "source": "own"})
    assert [pair.origin.source for pair in read_pairs(path)] == ["stem", "own"]
    assert [pair.origin.source for pair in read_pairs(path, name="mine")] == ["mine"] * 2


def test_pictures_are_found_beside_the_file_or_in_the_picture_folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_pictures(folder, "red")
    path = write_rows(tmp_path / "a.jsonl", {**FLAT_ROW, "images": ["red.png"]})
    (error,) = read_all(path)
    assert error.code == "picture-missing"
    (pair,) = read_pairs(path, picture_folder=str(folder))
    assert next(pair.pictures).path == folder / "red.png"


def test_loading_gathers_pairs_and_refusals_of_several_sources(tmp_path):
    one = write_rows(tmp_path / "one.jsonl", FLAT_ROW, b"{")
    two = write_rows(tmp_path / "two.jsonl", TRL_ROW)
    loaded = load_preferences([SourceConfig(path=str(one)), SourceConfig(path=str(two))])
    assert [pair.origin.source for pair in loaded.pairs] == ["one", "two"]
    assert [error.code for error in loaded.refused] == ["json-invalid"]


def test_a_row_kept_in_no_store_still_holds_its_picture(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {**FLAT_ROW, "images": [{"bytes": png("red"), "path": None}]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    (pair,) = read_pairs(tmp_path / "a.parquet")
    assert next(pair.pictures).data == png("red")


def test_a_refused_row_is_named_by_the_id_that_its_pair_would_have(tmp_path):
    row = {key: value for key, value in FLAT_ROW.items() if key != "id"}
    path = write_rows(tmp_path / "rows.jsonl", {**row, "idx": 4, "chosen": ""}, {**row, "idx": 5})
    refused, kept = read_all(path)
    assert (refused.row_id, kept.origin.row_id) == ("4", "5")


def test_an_id_that_cannot_be_written_is_spelled_out(tmp_path):
    rows = ({**FLAT_ROW, "id": "cut\ud800"}, {**FLAT_ROW, "id": "sound", "chosen": ""})
    cut, empty = read_all(write_rows(tmp_path / "rows.jsonl", *rows))
    assert (cut.code, cut.row_id) == ("text-surrogate", ascii("cut\ud800"))
    assert (empty.code, empty.row_id) == ("answer-empty", "sound")
