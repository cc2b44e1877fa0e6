"""LLaMA-Factory's sharegpt ranking form, and the message form of its version 1.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md. `conversations` (or `messages`)
is the prompt, `chosen` and `rejected` are one message each. LLaMA-Factory itself wants an object
there and trains without ranking when given a list; here a list of one message reads as well.
"""

from __future__ import annotations

from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft
from vlreward.sources.fields import Row
from vlreward.sources.messages import parse_answer, parse_conversation, split_shared


def draft(row: Row) -> Draft:
    """Reads a row; pictures are in `images`, in the order prompt, chosen, rejected."""
    images = images_of(row)
    if row.get("chosen_messages") is not None:
        names = ("chosen_messages", "rejected_messages")
        one, other = (parse_conversation(fields.required(row, n), field=n) for n in names)
        prompt, answers = split_shared(one, other, names=names)
        return Draft(prompt=prompt, answers=answers, images=images)
    name = "messages" if row.get("conversations") is None and "messages" in row else "conversations"
    return Draft(
        prompt=parse_conversation(fields.required(row, name), field=name),
        answers=(
            parse_answer(fields.required(row, "chosen"), field="chosen"),
            parse_answer(fields.required(row, "rejected"), field="rejected"),
        ),
        images=images,
    )
