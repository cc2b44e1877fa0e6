"""Pairs in the forms of other trainers: a folder with their rows and its pictures as files.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md (sharegpt, ranking) and
https://github.com/modelscope/ms-swift/blob/main/docs/source_en/Customization/Custom-dataset.md.
Both mark a picture's place in the text by `<image>`, so a text that says that itself cannot be
told from a picture and is refused; so are pictures in answers, which neither form has room for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vlreward.durable import write_bytes_atomically, write_json_atomically, written_atomically
from vlreward.errors import DataError
from vlreward.pictures import read_bytes
from vlreward.records import Message, Part, Picture, PreferencePair, Response
from vlreward.sources.config import ExportForm
from vlreward.sources.content import MARKER
from vlreward.sources.write import suffix_of


class Exported(NamedTuple):
    """How many rows were written, and why others could not be."""

    num_rows: int
    refused: list[DataError]


def export(pairs: Iterable[PreferencePair], folder: Path, *, form: ExportForm) -> Exported:
    """Writes `data.json` or `data.jsonl` and `images/`; what the form cannot say is refused.

    LLaMA-Factory finds the set as `vlreward` by the `dataset_info.json` beside it
    (`--dataset_dir FOLDER --dataset vlreward`). Paths of pictures are relative to the folder.
    """
    to_row, write = _FORMS[form]
    refused: list[DataError] = []

    def rows() -> Iterator[dict[str, object]]:
        for pair in pairs:
            try:
                row = to_row(pair)
            except DataError as error:
                refused.append(error.at(f"pair {pair.id}"))
                continue
            if pair.has_pictures:
                row["images"] = [_save(one, folder) for one in pair.pictures]
            yield row

    return Exported(num_rows=write(rows(), folder), refused=refused)


def _llamafactory_row(pair: PreferencePair) -> dict[str, object]:
    """Turns of human and gpt in alternation, a system prompt apart; answers as one object each."""
    messages = list(pair.prompt.messages)
    row: dict[str, object] = {}
    if messages[0].role == "system":
        row["system"] = _text(messages.pop(0), "prompt")
    roles = [message.role for message in messages]
    if any(role != ("user", "assistant")[at % 2] for at, role in enumerate(roles)):
        raise DataError(
            "turns-not-in-alternation",
            value=", ".join(roles),
            place="prompt",
            expected="the user's and the assistant's turns in alternation, the user's first",
            mend="Join neighbouring turns of one speaker.",
        )
    names = {"user": "human", "assistant": "gpt"}
    row["conversations"] = [
        {"from": names[message.role], "value": _text(message, "prompt")} for message in messages
    ]
    for name, answer in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        row[name] = {"from": "gpt", "value": _answer(answer, name)}
    return row


def _ms_swift_row(pair: PreferencePair) -> dict[str, object]:
    """The prompt's messages and the chosen answer; the rejected one beside them."""
    messages = [
        {"role": message.role, "content": _text(message, "prompt")}
        for message in pair.prompt.messages
    ]
    chosen = {"role": "assistant", "content": _answer(pair.chosen, "chosen")}
    return {
        "messages": [*messages, chosen],
        "rejected_response": _answer(pair.rejected, "rejected"),
    }


def _write_llamafactory(rows: Iterable[dict[str, object]], folder: Path) -> int:
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    described = {
        "file_name": "data.json",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {**columns, "images": "images", "system": "system"},
    }
    num_rows = 0
    with written_atomically(folder / "data.json") as file:
        for row in rows:
            # Columns that only some rows have would be told by the first ones alone.
            whole = {"system": "", "images": [], **row}
            file.write((b",\n" if num_rows else b"[\n") + _json(whole))
            num_rows += 1
        file.write(b"\n]\n" if num_rows else b"[]\n")
    write_json_atomically(folder / "dataset_info.json", {"vlreward": described})
    return num_rows


def _write_ms_swift(rows: Iterable[dict[str, object]], folder: Path) -> int:
    num_rows = 0
    with written_atomically(folder / "data.jsonl") as file:
        for row in rows:
            file.write(_json({"images": [], **row}) + b"\n")
            num_rows += 1
    return num_rows


_Row = Callable[[PreferencePair], dict[str, object]]
_Write = Callable[[Iterable[dict[str, object]], Path], int]
_FORMS: dict[ExportForm, tuple[_Row, _Write]] = {
    "llamafactory": (_llamafactory_row, _write_llamafactory),
    "ms-swift": (_ms_swift_row, _write_ms_swift),
}


def _json(row: dict[str, object]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


def _text(message: Message, place: str) -> str:
    return "".join(
        MARKER if isinstance(part, Picture) else _plain(part, place) for part in message.content
    )


def _answer(answer: Response, place: str) -> str:
    if answer.pictures:
        raise DataError(
            "picture-in-answer",
            value=f"{len(answer.pictures)} pictures",
            place=place,
            expected="an answer in words alone",
            mend="Use the Parquet files, which hold such pairs.",
        )
    return "".join(_plain(part, place) for part in answer.content)


def _plain(part: Part, place: str) -> str:
    assert isinstance(part, str)
    if MARKER in part:
        raise DataError(
            "marker-in-text",
            value=MARKER,
            place=place,
            expected="a text that does not say what marks a picture's place",
            mend="Use the Parquet files, where such a text is told from a picture.",
        )
    return part


def _save(picture: Picture, folder: Path) -> str:
    """Puts the picture's file into the folder, once; returns its path there."""
    data = read_bytes(picture)
    name = f"images/{picture.sha256}{suffix_of(data)}"
    if not (folder / name).exists():
        write_bytes_atomically(folder / name, data)
    return name
