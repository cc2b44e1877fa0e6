"""The table that curation works on: one row a pair, with what steps ask for as columns of its own.

`body` holds the whole pair as JSON, pictures by hash and path, so that steps read narrow columns
and nothing but the pairs that stay is ever rebuilt.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlreward.records import (
    Judgment,
    Message,
    Origin,
    Part,
    Picture,
    PreferencePair,
    Prompt,
    Response,
)
from vlreward.sources.published import to_row

Row = Mapping[str, Any]

RANK_COLUMNS = ("label_type", "confidence", "margin", "source", "id", "place")
"""What `rank` reads."""
SURE = 0.6
"""Least confidence of judges who count as sure, where a step is not told otherwise."""
_TRUST = {"human": 0, "verified_correctness": 1, "model": 2}
"""Whose label counts more; any other kind comes last."""
_TEXT_COLUMNS = (
    *("id", "source", "row_id", "place", "label_type", "prompt_key", "chosen_key", "rejected_key"),
    *("prompt", "chosen", "rejected", "body"),
)


def schema() -> Any:
    """The table's Arrow schema.

    `row` numbers rows in the order of reading and decides nothing; `*_key` hash a part's content
    with white space and Unicode forms evened out; `pictures` are in reading order, each with the
    part that it is in: prompt, chosen or rejected.
    """
    import pyarrow as pa

    picture = pa.struct([(name, pa.string()) for name in ("sha256", "path", "part")])
    return pa.schema(
        [
            ("row", pa.int64()),
            *((name, pa.string()) for name in _TEXT_COLUMNS),
            ("confidence", pa.float64()),
            ("margin", pa.float64()),
            ("pictures", pa.list_(picture)),
        ]
    )


def to_table_row(pair: PreferencePair, *, row: int) -> dict[str, object]:
    """The pair as a row; raises DataError if a text cannot be written as UTF-8."""
    images: list[object] = [
        {"sha256": one.sha256, "width": one.width, "height": one.height, "path": _place(one)}
        for one in pair.pictures
    ]
    answers = {name: answer.content for name, answer in _answers(pair)}
    return {
        "row": row,
        "id": pair.id,
        "source": pair.origin.source,
        "row_id": pair.origin.row_id,
        "place": pair.origin.place,
        "label_type": pair.judgment.kind,
        "confidence": pair.judgment.confidence,
        "margin": pair.judgment.margin,
        "prompt": prompt_text(pair.prompt),
        **{name: _words(content) for name, content in answers.items()},
        "prompt_key": prompt_key(pair.prompt),
        **{f"{name}_key": _key(content) for name, content in answers.items()},
        "pictures": [
            {"sha256": one.sha256, "path": _place(one), "part": name}
            for name, part in (("prompt", pair.prompt), *_answers(pair))
            for one in part.pictures
        ],
        "body": json.dumps(to_row(pair, images=images), separators=(",", ":")),
    }


def _place(picture: Picture) -> str:
    """The picture's file, wherever a worker may look for it from."""
    assert picture.path is not None, "curation reads with a store"
    return str(picture.path.absolute())


def _answers(pair: PreferencePair) -> tuple[tuple[str, Response], tuple[str, Response]]:
    return ("chosen", pair.chosen), ("rejected", pair.rejected)


def prompt_text(prompt: Prompt) -> str:
    """The words of a prompt, a line or more a message."""
    return "\n".join(_words(message.content) for message in prompt.messages)


def prompt_key(prompt: Prompt) -> str:
    """A hash of a prompt's content and roles, white space and Unicode forms evened out."""
    messages = [((message.role,), message.content) for message in prompt.messages]
    return _key(*(content for pair in messages for content in pair))


def answer_key(answer: Response) -> str:
    """A hash of an answer's content, evened out likewise."""
    return _key(answer.content)


def pair_of(row: Row) -> PreferencePair:
    """The pair that a table's row holds, its pictures by path."""
    body = json.loads(row["body"])
    pictures = (
        Picture(
            sha256=one["sha256"], width=one["width"], height=one["height"], path=Path(one["path"])
        )
        for one in body["images"]
    )
    messages = tuple(
        Message(role=message["role"], content=tuple(_content(message["content"], pictures)))
        for message in body["prompt"]
    )
    chosen, rejected = (
        Response(
            content=tuple(_content(body[name][0]["content"], pictures)),
            model=body[f"{name}_model"],
        )
        for name in ("chosen", "rejected")
    )
    return PreferencePair(
        prompt=Prompt(messages=messages),
        chosen=chosen,
        rejected=rejected,
        judgment=Judgment(
            kind=body["label_type"],
            judge=body["judge"],
            confidence=body["confidence"],
            margin=body["margin"],
        ),
        origin=Origin(
            source=body["source"],
            row_id=body["row_id"],
            task=body["task"],
            split=body["split"],
            place=row["place"],
        ),
    )


def rank(row: Row) -> tuple[object, ...]:
    """Sorts rows by how well they were judged, the best first; the content settles what is equal.

    Rows whose judges were unsure come last; of the others, a person's label before a verified one,
    a model's, any other; then confidence, margin, and the row's source, id and place. The order of
    reading has no part in it.
    """
    return (
        is_unsure(row),
        _TRUST.get(row["label_type"], len(_TRUST)),
        -(row["confidence"] or 0.0),
        -(row["margin"] or 0.0),
        row["source"],
        row["id"],
        row["place"],
    )


def is_unsure(row: Row) -> bool:
    """Whether the row's judges were unsure, undecided, or for the other answer."""
    confidence, margin = row["confidence"], row["margin"]
    return (confidence is not None and confidence < SURE) or (margin is not None and margin <= 0)


def hash_of(text: str) -> int:
    """56 bits of the text's sha-256."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:7])


def _content(parts: list[dict[str, str | None]], pictures: Iterator[Picture]) -> Iterator[Part]:
    for part in parts:
        if part["type"] == "image":
            yield next(pictures)
        else:
            yield part["text"] or ""


def _words(content: tuple[Part, ...]) -> str:
    return "".join(part for part in content if isinstance(part, str)).strip()


def _key(*contents: tuple[Part, ...]) -> str:
    """A hash of contents; white space and Unicode's ways to write a letter do not count.

    But how far a line is indented does: it may be code. Neighbouring texts are one text.
    """
    runs = [[_even(run) for run in _runs(content)] for content in contents]
    text = json.dumps([[run for run in content if run] for content in runs])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _runs(content: tuple[Part, ...]) -> Iterator[str | Picture]:
    """Pictures, and the texts between them, each joined."""
    text = ""
    for part in content:
        if isinstance(part, Picture):
            yield text
            yield part
            text = ""
        else:
            text += part
    yield text


def _even(run: str | Picture) -> str | dict[str, str]:
    if isinstance(run, Picture):
        return {"picture": run.sha256}
    words: list[str] = []
    for line in unicodedata.normalize("NFC", run).strip().splitlines():
        indent = len(line) - len(line.lstrip())
        if words and indent and line.strip():
            words.append(f"\n{' ' * indent}")
        words += line.split()
    return " ".join(words)
