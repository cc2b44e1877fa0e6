"""Rows of a query and two responses with their ranks: VL-RewardBench.

https://huggingface.co/datasets/MMInstruction/VL-RewardBench: `query`, `response` (two texts),
`human_ranking` ([0, 1] where the first is better, [1, 0] where the second is) and `image`.
"""

from __future__ import annotations

from vlreward.errors import DataError
from vlreward.records import Judgment
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft, DraftMessage, num_holes, split_markers
from vlreward.sources.fields import Row


def fits(row: Row) -> bool:
    """Whether the row has these fields."""
    return all(row.get(name) is not None for name in ("query", "response", "human_ranking"))


def draft(row: Row) -> Draft:
    """Reads a row; pictures are the query's. A marker in a response is just text."""
    query = fields.text(fields.required(row, "query"), field="query")
    responses = [
        fields.text(one, field=f"response[{at}]")
        for at, one in enumerate(fields.items(fields.required(row, "response"), field="response"))
    ]
    ranks = fields.items(fields.required(row, "human_ranking"), field="human_ranking")
    if len(responses) != 2 or ranks not in ([0, 1], [1, 0]):
        raise DataError(
            "ranks-unknown",
            value=f"{len(responses)} responses with the ranks {fields.describe(str(ranks))}",
            place="human_ranking",
            expected="two responses with the ranks [0, 1] or [1, 0]",
            mend="Drop the row, or write it as prompt, chosen and rejected.",
        )
    better, worse = responses if ranks == [0, 1] else responses[::-1]
    images = images_of(row)
    marked = split_markers(query)
    content = marked if num_holes([marked]) == len(images) else (query,)
    return Draft(
        prompt=(DraftMessage(role="user", content=content),),
        answers=((better,), (worse,)),
        images=images,
        judgment=Judgment(kind="human"),
    )
