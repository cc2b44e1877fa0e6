"""Rows from local files, one at a time: JSON lines, JSON arrays and Parquet."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vlreward.errors import DataError
from vlreward.sources import fields
from vlreward.sources.fields import Row

_BATCH_ROWS = 32


class RawRow(NamedTuple):
    """A row as it lies in its file, or why it cannot be read, and where it is.

    `place` is file:line for JSON lines and "file:row N", from 1, otherwise; `folder` is the
    file's, `stem` its name without the extension.
    """

    place: str
    row: Row | DataError
    folder: Path | None
    stem: str


def find_files(path: str) -> list[Path]:
    """The data files that a file, folder or glob names, sorted.

    Of a folder, its .parquet files; without any, its .jsonl files; without these, its .json files.
    Of a run of `vlreward curate`, or its set, the files with the set's pairs.
    Raises DataError if there are none, or one is of an unknown kind or its name is not UTF-8.
    """
    try:
        files = _named_files(path)
    except OSError:  # a name too long for the system, or a folder that may not be looked into
        files = []
    if not files:
        raise DataError(
            "file-missing",
            value="nothing there",
            place=path,
            expected="a data file, a folder with data files, or a glob that finds some",
            mend="Check the path; for data on the hub write hub:owner/name.",
        )
    for file in files:
        _reader_for(file)
        if not fields.is_writable(str(file)):
            raise DataError(
                "file-name",
                value=fields.describe(str(file)),
                place=ascii(path),
                expected="a name in UTF-8, which ledgers and cards can write",
                mend="Rename the file.",
            )
    return files


def _named_files(path: str) -> list[Path]:
    literal = Path(path).expanduser()
    for curated in (literal / "set", literal):
        if (curated / "ledger.parquet").is_file():
            return sorted((curated / "data").glob("*.parquet"))
    if literal.is_dir():
        kinds = (sorted(literal.glob(f"*{suffix}")) for suffix in (".parquet", ".jsonl", ".json"))
        return next((found for found in kinds if found), [])
    if literal.is_file():
        return [literal]
    found = (Path(name) for name in sorted(glob.glob(str(literal), recursive=True)))
    return [file for file in found if file.is_file()]


def read_rows(file: Path) -> Iterator[RawRow]:
    """The file's rows, lazily; raises DataError if the file as a whole cannot be read."""
    rows = _reader_for(file)(file)
    try:
        for place, row in rows:
            yield RawRow(place=f"{file}:{place}", row=row, folder=file.parent, stem=file.stem)
    except OSError as error:
        raise _torn(file, error, code="file-unreadable") from error


def checked_row(value: object) -> Row | DataError:
    """The value if it is an object with named fields, else the error."""
    if fields.is_row(value):
        return value
    return DataError(
        "row-not-object",
        value=fields.describe(value),
        place="",
        expected="an object with named fields",
        mend="Write one object a row; a file that is one JSON array is named .json.",
    )


def _reader_for(file: Path) -> Callable[[Path], Iterator[tuple[str, Row | DataError]]]:
    readers = {".jsonl": _read_lines, ".json": _read_json, ".parquet": _read_parquet}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataError(
            "file-unknown-kind",
            value=file.name,
            place=str(file),
            expected="a file that ends in .jsonl, .json or .parquet",
            mend="Convert the file, or name it after what it holds.",
        )
    return reader


def _read_lines(file: Path) -> Iterator[tuple[str, Row | DataError]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            data = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if data.strip():
                yield str(number), _parse_line(data)


def _read_json(file: Path) -> Iterator[tuple[str, Row | DataError]]:
    """An array of objects; a file that does not begin with '[' is read as JSON lines."""
    with file.open("rb") as handle:
        head = handle.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"["):
        yield from _read_lines(file)
        return
    try:
        rows = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _torn(file, error, code="json-torn") from error
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", checked_row(row)


def _read_parquet(file: Path) -> Iterator[tuple[str, Row | DataError]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_BATCH_ROWS):
                for row in _to_rows(batch):
                    number += 1
                    yield f"row {number}", row
    except (pa.ArrowException, OSError) as error:
        raise _torn(file, error, code="parquet-torn") from error


def _to_rows(batch: Any) -> Iterator[Row | DataError]:
    """The batch's rows; a value that Python cannot hold (text that is not UTF-8) costs its row."""
    for index in range(batch.num_rows):
        try:
            yield batch.slice(index, 1).to_pylist()[0]
        except ValueError as error:
            yield DataError(
                "text-not-utf8" if isinstance(error, UnicodeDecodeError) else "row-unreadable",
                value=str(error),
                place="",
                expected="values that can be read",
                mend="Write the row again from its origin.",
            )


def _parse_line(line: bytes) -> Row | DataError:
    try:
        return checked_row(json.loads(line.decode(), object_pairs_hook=_with_keys_once))
    except DataError as error:
        return error
    except UnicodeDecodeError as error:
        return DataError(
            "text-not-utf8",
            value=f"byte {error.object[error.start]:#04x} at {error.start}",
            place="",
            expected="text in UTF-8",
            mend="Write the file again in UTF-8.",
        )
    except (ValueError, RecursionError) as error:
        return DataError(
            "json-invalid",
            value=str(error),
            place="",
            expected="one JSON object on the line",
            mend="Write the line again; a line cut short means that the writing was interrupted.",
        )


def _with_keys_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a line; raises DataError where a key says two things."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for name in names if names.count(name) > 1)
        raise DataError(
            "key-doubled",
            value=f"{names.count(again)} values of {fields.describe(again)}",
            place="",
            expected="each key of an object once",
            mend="Write the line again, with the value that holds.",
        )
    return row


def _torn(file: Path, error: Exception, *, code: str) -> DataError:
    return DataError(
        code,
        value=str(error),
        place=str(file),
        expected="a whole file of its kind",
        mend="The file is damaged, cut short or not readable: write or fetch it again.",
    )
