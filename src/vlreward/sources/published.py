"""Our published form: TRL's conversational preference form with origin and judgment columns.

`prompt`, `chosen` and `rejected` are lists of {role, content}; content is always a list of parts,
{"type": "text", "text": …} or {"type": "image"}. The image parts take the pictures of `images`,
embedded as {bytes, path}, in the order prompt, chosen, rejected; a picture that is shown twice is
listed twice. A marker inside a text is just text. A set without any pictures has plain texts for
contents and no `images`. `id` is the pair's content hash, `row_id` the id
in the data set that the pair came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vlreward.records import Part, Picture, PreferencePair
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft, check_counts
from vlreward.sources.fields import Row
from vlreward.sources.messages import parse_answer, parse_conversation

MESSAGE_COLUMNS = ("prompt", "chosen", "rejected")


def draft(row: Row) -> Draft:
    """Reads a row; every picture must have its image part."""
    prompt = parse_conversation(fields.required(row, "prompt"), field="prompt", literal=True)
    answers = tuple(
        parse_answer(fields.required(row, name), field=name, literal=True)
        for name in ("chosen", "rejected")
    )
    images = images_of(row)
    check_counts([message.content for message in prompt] + list(answers), num_images=len(images))
    return Draft(prompt=prompt, answers=answers, images=images)


def to_row(pair: PreferencePair, *, images: list[object]) -> dict[str, object]:
    """The pair as a row; `images` are its pictures in the order of `pair.pictures`.

    Raises DataError if a text cannot be written as UTF-8.
    """
    origin, judgment = pair.origin, pair.judgment
    return {
        "id": pair.id,
        "prompt": [
            {"role": message.role, "content": _parts(message.content, field="prompt")}
            for message in pair.prompt.messages
        ],
        "chosen": [{"role": "assistant", "content": _parts(pair.chosen.content, field="chosen")}],
        "rejected": [
            {"role": "assistant", "content": _parts(pair.rejected.content, field="rejected")}
        ],
        "images": images,
        "source": origin.source,
        "row_id": origin.row_id,
        "task": origin.task,
        "split": origin.split,
        "label_type": judgment.kind,
        "judge": judgment.judge,
        "confidence": judgment.confidence,
        "margin": judgment.margin,
        "chosen_model": pair.chosen.model,
        "rejected_model": pair.rejected.model,
    }


def plain_row(row: Mapping[str, Any]) -> dict[str, object]:
    """A row of `to_row` without pictures, its contents as plain texts."""
    plain = {name: value for name, value in row.items() if name != "images"}
    for name in MESSAGE_COLUMNS:
        plain[name] = [
            {**message, "content": "".join(part["text"] for part in message["content"])}
            for message in row[name]
        ]
    return plain


def _parts(content: Iterable[Part], *, field: str) -> list[dict[str, str | None]]:
    return [
        {"type": "image", "text": None}
        if isinstance(part, Picture)
        else {"type": "text", "text": fields.text(part, field=field)}
        for part in content
    ]
