import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sources.making import FLAT_ROW, write_rows
from vlreward.errors import DataError
from vlreward.sources.files import find_files, read_rows


def rows_of(path):
    return [row for _, row, _, _ in read_rows(path)]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", {"a": "x\u2028y"}, b"", b" \r", {"a": 2})
    assert [(raw.place, raw.row) for raw in read_rows(path)] == [
        (f"{path}:1", {"a": "x\u2028y"}),
        (f"{path}:4", {"a": 2}),
    ]


def test_a_byte_order_mark_windows_line_ends_and_a_missing_last_one_do_not_matter(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}')
    assert rows_of(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "json-invalid"),
        (b'{"a": 1', "json-invalid"),
        (b'{"a": 1, "b": 2, "a": 1}', "key-doubled"),
        (b'{"a": [{"b": 1, "b": 2}]}', "key-doubled"),
        (b"[" * 100_000, "json-invalid"),
        (b'{"a": ' + b"9" * 5000 + b"}", "json-invalid"),
        (b'{"a": "\xff"}', "text-not-utf8"),
        (b"[1]", "row-not-object"),
        (b"null", "row-not-object"),
        (b'"text"', "row-not-object"),
    ],
)
def test_a_bad_line_is_an_error_and_the_next_line_reads(tmp_path, line, code):
    bad, good = rows_of(write_rows(tmp_path / "a.jsonl", line, {"a": 1}))
    assert isinstance(bad, DataError)
    assert bad.code == code
    assert good == {"a": 1}


def test_a_json_file_is_an_array_or_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"a": 1}, 5, {"a": 2}], indent=1))
    places = [raw.place for raw in read_rows(path)]
    assert places == [f"{path}:row {number}" for number in (1, 2, 3)]
    assert [type(row) for row in rows_of(path)] == [dict, DataError, dict]
    write_rows(path, {"a": 1}, {"a": 2})
    assert rows_of(path) == [{"a": 1}, {"a": 2}]


def test_a_torn_json_array_is_an_error_of_the_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, {"a"')
    with pytest.raises(DataError) as caught:
        rows_of(path)
    assert (caught.value.code, caught.value.place) == ("json-torn", str(path))


def test_parquet_reads_row_by_row(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(70)), "b": [{"c": b"x"}] * 70}), path)
    raws = list(read_rows(path))
    assert [raw.row for raw in raws] == [{"a": i, "b": {"c": b"x"}} for i in range(70)]
    assert (raws[0].place, raws[-1].place) == (f"{path}:row 1", f"{path}:row 70")


def test_parquet_text_that_is_not_utf8_costs_its_row_alone(tmp_path):
    path = tmp_path / "a.parquet"
    column = pa.array([b"good", b"\xff", b"fine"]).view(pa.string())
    pq.write_table(pa.table({"a": column}), path)
    good, bad, fine = rows_of(path)
    assert (good, fine) == ({"a": "good"}, {"a": "fine"})
    assert isinstance(bad, DataError)
    assert bad.code == "text-not-utf8"


@pytest.mark.parametrize("keep", [0, 3, 100, -10])
def test_a_truncated_parquet_file_is_an_error_of_the_file(tmp_path, keep):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        rows_of(path)
    assert (caught.value.code, caught.value.place) == ("parquet-torn", str(path))


def test_parquet_damaged_inside_is_an_error_of_the_file(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["some text"] * 1000}), path)
    data = bytearray(path.read_bytes())
    data[10:60] = b"\xff" * 50
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        rows_of(path)
    assert caught.value.code == "parquet-torn"


def test_a_folder_means_its_parquet_files_then_json_lines_then_json(tmp_path):
    for name in ("b.parquet", "a.parquet", "dropped.jsonl", "manifest.json", "README.md"):
        (tmp_path / name).touch()
    names = [file.name for file in find_files(str(tmp_path))]
    assert names == ["a.parquet", "b.parquet"]
    for name in names:
        (tmp_path / name).unlink()
    assert [file.name for file in find_files(str(tmp_path))] == ["dropped.jsonl"]


def test_a_glob_finds_files_in_order_and_a_name_with_brackets_is_itself(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "c[1].jsonl"):
        write_rows(tmp_path / name, FLAT_ROW)
    assert [f.name for f in find_files(f"{tmp_path}/?.jsonl")] == ["a.jsonl", "b.jsonl"]
    assert [f.name for f in find_files(f"{tmp_path}/c[1].jsonl")] == ["c[1].jsonl"]


@pytest.mark.parametrize("name", ["gone.jsonl", "*.jsonl", "."])
def test_a_path_without_data_files_is_refused(tmp_path, name):
    with pytest.raises(DataError) as caught:
        find_files(str(tmp_path / name))
    assert caught.value.code == "file-missing"


def test_a_file_of_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(DataError, match=r"\.jsonl, \.json or \.parquet") as caught:
        find_files(str(tmp_path / "a.csv"))
    assert caught.value.code == "file-unknown-kind"


def test_a_name_that_cannot_be_written_is_refused(tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path / "a") + b"\xe9.jsonl")
    write_rows(Path(odd), {"a": 1})
    for path in (odd, str(tmp_path)):
        with pytest.raises(DataError, match="UTF-8") as refused:
            find_files(path)
        str(refused.value).encode()
