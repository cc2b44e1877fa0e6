"""Writing pairs as a published set: Parquet for the world, JSON lines to look into."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vlreward.durable import written_atomically
from vlreward.pictures import read_bytes
from vlreward.records import PreferencePair
from vlreward.sources.published import MESSAGE_COLUMNS, plain_row, to_row

_GROUP_ROWS = 256
_GROUP_BYTES = 32 * 2**20

_TEXT_COLUMNS = (
    "source",
    "row_id",
    "task",
    "split",
    "label_type",
    "judge",
    "chosen_model",
    "rejected_model",
)
_NUMBER_COLUMNS = ("confidence", "margin")
_MIME_TYPES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"RIFF", "image/webp"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II", "image/tiff"),
    (b"MM", "image/tiff"),
)


def write_parquet(pairs: Iterable[PreferencePair], path: Path, *, has_pictures: bool = True) -> int:
    """Writes the published form (see `published`) and returns the number of rows.

    Without pictures there is no column `images` and contents are plain texts, which every chat
    template takes: TRL takes a set with such a column for one that needs a vision model.

    `datasets.load_dataset("parquet", data_files=…)` opens the file with `images` as a list of
    `Image`; `read_preferences` gives back equal pairs. The file appears whole or not at all, and
    the same pairs make the same bytes. Raises DataError if a text cannot be written as UTF-8, and
    PictureError if a picture is gone or changed.
    """
    import pyarrow.parquet as pq

    schema = _schema(has_pictures=has_pictures)
    num_rows = 0
    with written_atomically(path) as handle, pq.ParquetWriter(handle, schema) as writer:
        for rows in _groups(pairs):
            told = rows if has_pictures else [plain_row(row) for row in rows]
            writer.write_table(_table(told, schema))
            num_rows += len(rows)
    return num_rows


def write_jsonl(pairs: Iterable[PreferencePair], path: Path) -> int:
    """Writes the published form as JSON lines, pictures as `data:` URIs; returns how many.

    `read_preferences` gives back equal pairs. The file appears whole or not at all. Raises
    DataError as `write_parquet` does.
    """
    num_rows = 0
    with written_atomically(path) as handle:
        for pair in pairs:
            row = to_row(pair, images=[_data_uri(read_bytes(p)) for p in pair.pictures])
            handle.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            num_rows += 1
    return num_rows


def _groups(pairs: Iterable[PreferencePair]) -> Iterator[list[dict[str, object]]]:
    """Rows with embedded pictures, in groups that are small enough to be streamed."""
    rows: list[dict[str, object]] = []
    num_bytes = 0
    for pair in pairs:
        images: list[object] = []
        for picture in pair.pictures:
            data = read_bytes(picture)
            images.append({"bytes": data, "path": picture.sha256})
            num_bytes += len(data)
        rows.append(to_row(pair, images=images))
        if len(rows) >= _GROUP_ROWS or num_bytes >= _GROUP_BYTES:
            yield rows
            rows, num_bytes = [], 0
    if rows:
        yield rows


def _table(rows: list[dict[str, object]], schema: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=schema)


def _schema(*, has_pictures: bool) -> Any:
    """The columns' Arrow types, with the note that makes `datasets` decode `images`."""
    import pyarrow as pa

    parts = pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())]))
    content = parts if has_pictures else pa.string()
    messages = pa.list_(pa.struct([("role", pa.string()), ("content", content)]))
    images = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    columns = {
        "id": pa.string(),
        **dict.fromkeys(MESSAGE_COLUMNS, messages),
        **({"images": images} if has_pictures else {}),
        **dict.fromkeys(_TEXT_COLUMNS, pa.string()),
        **dict.fromkeys(_NUMBER_COLUMNS, pa.float64()),
    }
    note = json.dumps({"info": {"features": _features(has_pictures=has_pictures)}})
    return pa.schema(list(columns.items()), metadata={"huggingface": note})


def _features(*, has_pictures: bool) -> dict[str, object]:
    """The same columns as `datasets` features, in the spelling that all its versions read."""
    text = {"dtype": "string", "_type": "Value"}
    number = {"dtype": "float64", "_type": "Value"}
    content: object = [{"type": text, "text": text}] if has_pictures else text
    return {
        "id": text,
        **{name: [{"role": text, "content": content}] for name in MESSAGE_COLUMNS},
        **({"images": [{"_type": "Image"}]} if has_pictures else {}),
        **dict.fromkeys(_TEXT_COLUMNS, text),
        **dict.fromkeys(_NUMBER_COLUMNS, number),
    }


def suffix_of(data: bytes) -> str:
    """The ending of a picture file's name, dot included; empty for a format of another kind."""
    kind = _mime_type(data).partition("/")[2]
    return "" if kind == "x" else f".{kind}"


def _data_uri(data: bytes) -> str:
    return f"data:{_mime_type(data)};base64,{base64.b64encode(data).decode()}"


def _mime_type(data: bytes) -> str:
    return next((kind for magic, kind in _MIME_TYPES if data.startswith(magic)), "image/x")
