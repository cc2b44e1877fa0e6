"""MM-RLHF-RewardBench: pairs of which several share a question; Acc counts pairs, Acc+ questions.

https://huggingface.co/datasets/yifanzhang114/MM-RLHF-RewardBench, mm_reward_bench.jsonl. Some of
its rows are about videos, which are not read here.
"""

from __future__ import annotations

from collections.abc import Sequence

from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.benchmarks.definition import HALF, WRONG, Benchmark, rows_in_one_place
from vlreward.evaluation.counts import Expected
from vlreward.evaluation.marks import Array, Bucket, Mark, Sums, marks_of_rows
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.reading import RowDraft
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.config import SourceConfig
from vlreward.sources.content import Draft, DraftMessage, num_holes, split_markers
from vlreward.sources.fields import Row

CATEGORIES = ("mcq", "long", "short", "safety", "video")
"""A row's category is the first of these words in the path of its picture."""
_QUESTIONS = "questions"


def read_row(row: Row) -> RowDraft:
    """Reads a row; the chosen response comes first, and rows with one `id` share a question."""
    fields.check_modalities(row)
    fields.required(row, "image")
    question_id = fields.optional_text(row, "id")
    prompt = fields.text(fields.required(row, "prompt"), field="prompt")
    images = images_of(row)
    marked = split_markers(prompt)
    is_marked = num_holes([marked]) == len(images)
    category = _category(row)
    return RowDraft(
        draft=Draft(
            prompt=(DraftMessage(role="user", content=marked if is_marked else (prompt,)),),
            answers=tuple(
                (fields.text(fields.required(row, name), field=name),)
                for name in ("chosen", "rejected")
            ),
            images=images,
        ),
        right=(0,),
        group=category,
        subset=category,
        row_id=question_id,
        prompt_id=question_id,
    )


def mark_rows(outcomes: Sequence[Outcome], credits: Sequence[float | None]) -> list[Mark]:
    """A mark for every pair, and one for every question: 1 if all its pairs are right.

    A question counts for the category of its first pair, as in the authors'
    cal_performance_mmreweard_bench.py; one with a pair that has no credit is not counted.
    """
    marks = marks_of_rows(outcomes, credits)
    questions: dict[str, list[tuple[Outcome, float | None]]] = {}
    for outcome, credit in zip(outcomes, credits, strict=True):
        questions.setdefault(outcome.cluster, []).append((outcome, credit))
    for cluster, pairs in questions.items():
        known = [credit for _, credit in pairs if credit is not None]
        if len(known) == len(pairs):
            first = pairs[0][0]
            bucket = Bucket(first.group, first.subset, _QUESTIONS)
            marks.append(Mark(bucket, cluster, float(all(credit == 1 for credit in known))))
    return marks


def figures(sums: Sums) -> dict[str, Array]:
    """Acc and Acc+ of every category that has rows, then of all."""
    found: dict[str, Array] = {}
    for group in sorted(sums.groups):
        found[f"{group} Acc"] = sums.share(group=group)
        found[f"{group} Acc+"] = sums.share(group=group, kind=_QUESTIONS)
    return {**found, "Acc": sums.share(), "Acc+": sums.share(kind=_QUESTIONS)}


MM_RLHF_REWARDBENCH = Benchmark(
    name="mm-rlhf-rewardbench",
    title="MM-RLHF-RewardBench",
    load=rows_in_one_place(
        read_row,
        title="MM-RLHF-RewardBench",
        home=SourceConfig(path="hub:yifanzhang114/MM-RLHF-RewardBench", split="train"),
        # Known from others' counts alone (Omni-Reward, appendix F).
        expected=Expected(totals=(170,), is_firm=False),
    ),
    arithmetic=lambda _: Arithmetic(
        formula=figures, main="Acc", protocols=(HALF, WRONG), mark_rows=mark_rows
    ),
)


def _category(row: Row) -> str:
    image = row.get("image")
    path = image.get("path") if fields.is_row(image) else image
    words = path if isinstance(path, str) else ""
    return next((one for one in CATEGORIES if one in words), "other")
