"""Multimodal RewardBench: pairs about pictures in six categories, two of them in two parts.

https://github.com/facebookresearch/multimodal_rewardbench, data/all_data.json. Of the paper's
5,211 rows the authors give out 4,711: the 500 from Hateful Memes may not be passed on.
"""

from __future__ import annotations

from vlreward.errors import DataError
from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.benchmarks.definition import HALF, WRONG, Benchmark, rows_in_one_place
from vlreward.evaluation.counts import Expected
from vlreward.evaluation.grading import Protocol, by_first_vote, coin
from vlreward.evaluation.marks import Array, Sums
from vlreward.evaluation.reading import RowDraft
from vlreward.sources import fields
from vlreward.sources.attachments import sources_in
from vlreward.sources.config import SourceConfig
from vlreward.sources.content import Draft, DraftContent, DraftMessage, Hole
from vlreward.sources.fields import Row

_BETTER = {"Output1": 0, "Output2": 1}
_ROWS_GIVEN_OUT, _ROWS_OF_PAPER = 4711, 5211


def read_row(row: Row) -> RowDraft:
    """Reads a row; the picture comes after the text, as the authors' judge has it."""
    row_id = fields.text(fields.required(row, "ID"), field="ID")
    better = fields.required(row, "Better")
    if better not in _BETTER:
        raise DataError(
            "better-unknown",
            value=fields.describe(better),
            place="Better",
            expected="Output1 or Output2",
            mend="Leave out rows without a decided label.",
        )
    category = fields.text(fields.required(row, "Category"), field="Category")
    images = sources_in(fields.required(row, "Image"), field="Image")
    question = fields.text(fields.required(row, "Text"), field="Text")
    content: DraftContent = (question, *(Hole() for _ in images))
    return RowDraft(
        draft=Draft(
            prompt=(DraftMessage(role="user", content=content),),
            answers=tuple(
                (fields.text(fields.required(row, name), field=name),) for name in _BETTER
            ),
            images=images,
        ),
        right=(_BETTER[str(better)],),
        group=category,
        subset=_part_of(category, row_id=row_id),
        row_id=row_id,
    )


def figures(sums: Sums) -> dict[str, Array]:
    """The categories' accuracies in alphabetical order, the parts of two of them, and all rows'."""
    found: dict[str, Array] = {}
    for group in sorted(sums.groups):
        found[group] = sums.share(group=group)
        parts = sorted({one.subset for one in sums.buckets if one.group == group} - {group})
        found |= {part: sums.share(group=group, subset=part) for part in parts}
    return {**found, "overall": sums.share()}


OFFICIAL = Protocol(
    name="official",
    about="one vote; for a reply that cannot be read a coin is thrown, here the same at every "
    "count (the authors' 2_get_accuracy.py)",
    grade=lambda outcomes: by_first_vote(outcomes, undecided=coin),
)


MULTIMODAL_REWARDBENCH = Benchmark(
    name="multimodal-rewardbench",
    title="Multimodal RewardBench",
    load=rows_in_one_place(
        read_row,
        title="Multimodal RewardBench",
        # lmms-eval's copy, as the authors put none on the hub; of theirs, name data/all_data.json.
        home=SourceConfig(path="hub:syhuggingface/multimodal_rewardbench", split="test"),
        expected=Expected(totals=(_ROWS_GIVEN_OUT, _ROWS_OF_PAPER)),
    ),
    arithmetic=lambda _: Arithmetic(
        formula=figures, main="overall", protocols=(OFFICIAL, HALF, WRONG)
    ),
)


def _part_of(category: str, *, row_id: str) -> str:
    """The finer category that the authors' script tells by the id; else the category."""
    if category == "safety":
        return "safety/bias" if row_id.lower().startswith("pairs") else "safety/toxicity"
    if category == "reasoning":
        return "reasoning/math" if row_id.lower().startswith("math") else "reasoning/coding"
    return category
