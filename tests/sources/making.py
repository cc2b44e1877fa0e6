"""What the tests of sources are made from: small pictures, rows, files."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image

from vlreward.errors import DataError
from vlreward.pictures import PictureStore
from vlreward.records import Picture, PreferencePair
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences

TURN = {"role": "user", "content": "Which is bigger?"}
TRL_ROW = {
    "prompt": [TURN],
    "chosen": [{"role": "assistant", "content": "The left."}],
    "rejected": [{"role": "assistant", "content": "The right."}],
}
FLAT_ROW = {"id": "r1", "prompt": "Which?", "chosen": "Left.", "rejected": "Right.", "images": []}


def png(color: str) -> bytes:
    """A small picture's file; equal colours make equal files."""
    out = io.BytesIO()
    Image.new("RGB", (4, 3), color).save(out, "PNG")
    return out.getvalue()


def data_uri(color: str) -> str:
    return "data:image/png;base64," + base64.b64encode(png(color)).decode()


def write_rows(path: Path, *rows: object) -> Path:
    """JSON lines; a row that is bytes is written as it is."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def write_pictures(folder: Path, *colors: str) -> None:
    """One picture a colour, called <colour>.png."""
    for color in colors:
        (folder / f"{color}.png").write_bytes(png(color))


def read_all(
    path: Path | str, *, store: PictureStore | None = None, **settings: object
) -> list[PreferencePair | DataError]:
    config = SourceConfig(path=str(path), **settings)  # type: ignore[arg-type]
    return list(read_preferences(config, store=store))


def read_pairs(path: Path | str, **settings: object) -> list[PreferencePair]:
    """All rows, none of which may be refused."""
    out = []
    for item in read_all(path, **settings):
        assert isinstance(item, PreferencePair), item
        out.append(item)
    return out


def read_pair(folder: Path, row: object, *, format: str = "auto") -> PreferencePair:
    """The pair that a single row makes."""
    (pair,) = read_pairs(write_rows(folder / "rows.jsonl", row), format=format)
    return pair


def refusal(folder: Path, row: object, *, format: str = "auto") -> DataError:
    """Why a single row is refused; where the form is to be told, a good flat row stands first."""
    rows = (FLAT_ROW, row) if format == "auto" else (row,)
    error = read_all(write_rows(folder / "rows.jsonl", *rows), format=format)[-1]
    assert isinstance(error, DataError), error
    return error


def spell(content: tuple[str | Picture, ...]) -> list[str]:
    """Content with pictures as their colours' names in brackets."""
    return [part if isinstance(part, str) else f"[{_color(part)}]" for part in content]


def _color(picture: Picture) -> str:
    data = picture.data if picture.data is not None else picture.path.read_bytes()  # type: ignore[union-attr]
    names = {png(color): color for color in ("red", "green", "blue", "black")}
    return names[data]
