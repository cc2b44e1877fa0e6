"""ms-swift's preference form: `messages` ends with the chosen answer.

https://github.com/modelscope/ms-swift/blob/main/docs/source_en/Customization/Custom-dataset.md.
The rejected answer is `rejected_response`, or the end of `rejected_messages`.
"""

from __future__ import annotations

from vlreward.errors import DataError
from vlreward.sources import fields
from vlreward.sources.attachments import PictureSource, images_of, sources_in
from vlreward.sources.content import (
    Draft,
    DraftContent,
    DraftMessage,
    check_counts,
    num_holes,
)
from vlreward.sources.fields import Row
from vlreward.sources.messages import answer_of, parse_answer, parse_conversation, split_shared


def draft(row: Row) -> Draft:
    """Reads a row; pictures are in `images`, in the order prompt, chosen, rejected.

    With `rejected_images`, `images` are those of `messages`, and `rejected_images` either all those
    of the rejected conversation, prompt included, or those of the rejected answer alone.
    """
    messages = parse_conversation(fields.required(row, "messages"), field="messages")
    prompt, answers = _split(row, messages)
    images = images_of(row)
    if row.get("rejected_images") is not None:
        own = sources_in(row["rejected_images"], field="rejected_images")
        images = _join(prompt, answers, images=images, rejected_images=own)
    return Draft(prompt=prompt, answers=answers, images=images)


def _split(
    row: Row, messages: tuple[DraftMessage, ...]
) -> tuple[tuple[DraftMessage, ...], tuple[DraftContent, DraftContent]]:
    if row.get("rejected_messages") is None:
        rejected = fields.required(row, "rejected_response")
        chosen = answer_of(messages[-1:], field="messages[-1]")
        return messages[:-1], (chosen, parse_answer(rejected, field="rejected_response"))
    if row.get("rejected_response") is not None:
        raise DataError(
            "rejected-twice",
            value="both 'rejected_response' and 'rejected_messages'",
            place="rejected_response",
            expected="one of the two fields",
            mend="Keep 'rejected_messages'.",
        )
    names = ("messages", "rejected_messages")
    other = parse_conversation(row["rejected_messages"], field=names[1])
    return split_shared(messages, other, names=names)


def _join(
    prompt: tuple[DraftMessage, ...],
    answers: tuple[DraftContent, DraftContent],
    *,
    images: tuple[PictureSource, ...],
    rejected_images: tuple[PictureSource, ...],
) -> tuple[PictureSource, ...]:
    """All pictures in the order prompt, chosen, rejected."""
    in_prompt = [message.content for message in prompt]
    num_prompt, num_rejected = num_holes(in_prompt), num_holes(answers[1:])
    if num_holes([*in_prompt, *answers]) == 0 and rejected_images == images:
        return images
    check_counts([*in_prompt, answers[0]], num_images=len(images))
    if len(rejected_images) == num_rejected:
        return images + rejected_images
    if rejected_images[:num_prompt] != images[:num_prompt]:
        raise DataError(
            "prompts-differ",
            value="other pictures in 'rejected_images' than in 'images'",
            place="rejected_images",
            expected="the same pictures for the prompt that both answers share",
            mend="A preference compares answers to one prompt: drop the row.",
        )
    return images + rejected_images[num_prompt:]
