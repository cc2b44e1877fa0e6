"""Rows of a question and two answers: RLAIF-V-Dataset, RLHF-V-Dataset and MMPR.

https://huggingface.co/datasets/openbmb/RLAIF-V-Dataset: `image`, `question`, `chosen`, `rejected`.
RLHF-V-Dataset has the last three as a JSON object in `text`. MMPR marks the picture's place in the
question.
"""

from __future__ import annotations

import json

from vlreward.errors import DataError
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft, DraftMessage, num_holes, split_markers
from vlreward.sources.fields import Row


def fits(row: Row) -> bool:
    """Whether the row has these fields, or its text holds them as RLHF-V's does."""
    names = ("question", "chosen", "rejected")
    return _is_packed(row) or (
        row.get("prompt") is None and all(isinstance(row.get(name), str) for name in names)
    )


def draft(row: Row) -> Draft:
    """Reads a row; pictures are the question's. A marker in an answer is just text."""
    said = _unpacked(row) if _is_packed(row) else row
    question, chosen, rejected = (
        fields.text(fields.required(said, name), field=name)
        for name in ("question", "chosen", "rejected")
    )
    images = images_of(row)
    marked = split_markers(question)
    content = marked if num_holes([marked]) == len(images) else (question,)
    return Draft(
        prompt=(DraftMessage(role="user", content=content),),
        answers=((chosen,), (rejected,)),
        images=images,
    )


def _is_packed(row: Row) -> bool:
    text = row.get("text")
    return isinstance(text, str) and text.lstrip().startswith("{") and "chosen" not in row


def _unpacked(row: Row) -> Row:
    text = fields.text(row["text"], field="text")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            "text-not-json",
            value=fields.describe(text),
            place="text",
            expected="a JSON object with question, chosen and rejected",
            mend="Write the row again from its origin.",
        ) from error
    if not fields.is_row(value):
        raise fields.wrong_type(value, field="text", expected="a JSON object")
    return value
