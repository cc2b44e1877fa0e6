"""TRL's preference form: `prompt`, `chosen`, `rejected`, as messages or as text.

https://huggingface.co/docs/trl/dataset_formats. The prompt may be implicit: then `chosen` and
`rejected` are whole conversations (Skywork-Reward-Preference).
"""

from __future__ import annotations

from vlreward.errors import DataError
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft, DraftMessage
from vlreward.sources.fields import Row
from vlreward.sources.messages import parse_answer, parse_conversation, split_shared


def draft(row: Row) -> Draft:
    """Reads a row; pictures are in `images` or `image`, in the order prompt, chosen, rejected.

    Where `chosen` and `rejected` are whole conversations, a given prompt must be part of what they
    share.
    """
    chosen, rejected = fields.required(row, "chosen"), fields.required(row, "rejected")
    images = images_of(row)
    if _is_conversation(chosen) and _is_conversation(rejected):
        prompt, answers = split_shared(
            parse_conversation(chosen, field="chosen"),
            parse_conversation(rejected, field="rejected"),
        )
        _check_given_prompt(row, prompt)
        return Draft(prompt=prompt, answers=answers, images=images)
    return Draft(
        prompt=parse_conversation(fields.required(row, "prompt"), field="prompt"),
        answers=(
            parse_answer(chosen, field="chosen"),
            parse_answer(rejected, field="rejected"),
        ),
        images=images,
    )


def _is_conversation(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) > 1
        and fields.is_row(value[0])
        and ("role" in value[0] or "from" in value[0])
    )


def _check_given_prompt(row: Row, shared: tuple[DraftMessage, ...]) -> None:
    if row.get("prompt") is None:
        return
    given = parse_conversation(row["prompt"], field="prompt")
    if not all(any(_same(message, turn) for turn in shared) for message in given):
        raise DataError(
            "prompt-disagrees",
            value="a prompt that the two conversations do not hold",
            place="prompt",
            expected="the prompt that 'chosen' and 'rejected' begin with",
            mend="Remove 'prompt', or leave the answers alone in 'chosen' and 'rejected'.",
        )


def _same(one: DraftMessage, other: DraftMessage) -> bool:
    """Whether two turns say the same, white space around the text aside."""

    def stripped(message: DraftMessage) -> list[object]:
        return [part.strip() if isinstance(part, str) else part for part in message.content]

    return one.role == other.role and stripped(one) == stripped(other)
