"""The neutral schema: flat rows with text prompt and answers and a list of picture paths.

`prompt` holds an `<image>` marker for each of `images`; `label_type`, `chosen_model`,
`rejected_model`, `task` and `split` say where the pair is from.
"""

from __future__ import annotations

from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft, DraftMessage, num_holes, split_markers
from vlreward.sources.fields import Row
from vlreward.sources.messages import parse_answer


def draft(row: Row) -> Draft:
    """Reads a row; `images` are in the order prompt, chosen, rejected.

    When the prompt's markers take all the pictures, a marker in an answer is just text: models
    quote it.
    """
    text = fields.text(fields.required(row, "prompt"), field="prompt")
    prompt = split_markers(text)
    images = images_of(row)
    literal = bool(images) and num_holes([prompt]) == len(images)
    chosen, rejected = (
        parse_answer(
            fields.text(fields.required(row, name), field=name), field=name, literal=literal
        )
        for name in ("chosen", "rejected")
    )
    return Draft(
        prompt=(DraftMessage(role="user", content=prompt),),
        answers=(chosen, rejected),
        images=images,
    )
