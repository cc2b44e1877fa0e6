"""A user's own choices of many as a benchmark: is the best-scored of N candidates a right one?

Rows are {prompt, responses, images?, id?, source?, task?}. Which candidates are right is said by
`correct` in each of them, where they are objects {response or content, correct, model?}, or beside
them by `correct`, a list of true and false, or by `ratings`, of which the highest are right.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from vlreward.errors import DataError
from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.benchmarks.definition import HALF, WRONG, Benchmark, rows_in_one_place
from vlreward.evaluation.marks import Array, Bucket, Mark, Sums, marks_of_rows
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.reading import RowDraft
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft, num_holes
from vlreward.sources.fields import Row
from vlreward.sources.messages import parse_answer, parse_conversation

_CHANCE, _CEILING = "chance", "ceiling"
_LARGEST = sys.float_info.max


class _Candidate(NamedTuple):
    answer: object
    is_right: bool
    model: str | None = None


def read_row(row: Row) -> RowDraft:
    """Reads a row; pictures are the prompt's where its markers take all of them."""
    candidates = _candidates(row)
    if len(candidates) < 2:
        raise fields.wrong_type(row["responses"], field="responses", expected="two or more")
    _refuse_contradictions(candidates)
    source = fields.optional_text(row, "source") or "candidates"
    prompt = parse_conversation(fields.required(row, "prompt"), field="prompt")
    images = images_of(row)
    num_marked = num_holes([message.content for message in prompt])
    is_prompts = num_marked == len(images) or num_marked == 0
    return RowDraft(
        draft=Draft(
            prompt=prompt,
            answers=tuple(
                parse_answer(one.answer, field=f"responses[{index}]", literal=is_prompts)
                for index, one in enumerate(candidates)
            ),
            images=images,
        ),
        right=tuple(index for index, one in enumerate(candidates) if one.is_right),
        group=source,
        subset=fields.optional_text(row, "task") or source,
        row_id=fields.optional_text(row, "id"),
        models=tuple(one.model for one in candidates),
    )


def fits(row: Row) -> bool:
    """Whether a row says which of its responses are right."""
    given = row.get("responses")
    if not isinstance(given, (list, tuple)):
        return False
    beside = any(row.get(name) is not None for name in ("correct", "ratings"))
    return beside or all(fields.is_row(one) and "correct" in one for one in given)


def mark_rows(outcomes: Sequence[Outcome], credits: Sequence[float | None]) -> list[Mark]:
    """A mark for every row, and what a blind choice and the best possible one would have got."""
    marks = marks_of_rows(outcomes, credits)
    for outcome, credit in zip(outcomes, credits, strict=True):
        if credit is not None:
            share = len(outcome.right) / outcome.num_responses
            for kind, worth in ((_CHANCE, share), (_CEILING, float(share > 0))):
                bucket = Bucket(outcome.group, outcome.subset, kind)
                marks.append(Mark(bucket, outcome.cluster, worth))
    return marks


def figures(sums: Sums) -> dict[str, Array]:
    """Best of N by source, where there are several, and over all rows, with chance and ceiling."""
    groups = {group: sums.share(group=group) for group in sums.groups}
    return {
        **(groups if len(groups) > 1 else {}),
        "best of N": sums.share(),
        _CHANCE: sums.share(kind=_CHANCE),
        _CEILING: sums.share(kind=_CEILING),
    }


CANDIDATES = Benchmark(
    name="candidates",
    title="Candidates",
    load=rows_in_one_place(read_row, title="a file of candidates"),
    arithmetic=lambda _: Arithmetic(
        formula=figures, main="best of N", protocols=(HALF, WRONG), mark_rows=mark_rows
    ),
)


def _candidates(row: Row) -> list[_Candidate]:
    given = fields.items(fields.required(row, "responses"), field="responses")
    if all(fields.is_row(one) and "correct" in one for one in given):
        return [_of_object(one, field=f"responses[{i}]") for i, one in enumerate(given)]
    if row.get("correct") is not None:
        marks = fields.items(row["correct"], field="correct")
        _check_number(marks, given, field="correct")
        found = zip(given, marks, strict=True)
        return [_Candidate(one, _flag(mark, field="correct")) for one, mark in found]
    ratings = fields.items(fields.required(row, "ratings"), field="ratings")
    _check_number(ratings, given, field="ratings")
    numbers = [_rating(value, field=f"ratings[{i}]") for i, value in enumerate(ratings)]
    top = max(numbers, default=0.0)
    are_flags = all(isinstance(value, bool) for value in ratings)
    return [
        _Candidate(one, number > 0 if are_flags else number == top)
        for one, number in zip(given, numbers, strict=True)
    ]


def _refuse_contradictions(candidates: Sequence[_Candidate]) -> None:
    """Raises DataError where one text is marked as right and as wrong."""
    marks: dict[str, bool] = {}
    for index, one in enumerate(candidates):
        if marks.setdefault(str(one.answer).strip(), one.is_right) != one.is_right:
            raise DataError(
                "candidates-contradict",
                value=str(one.answer)[:80],
                place=f"responses[{index}]",
                expected="one mark for one answer",
                mend="Mark equal answers alike, or leave the row out.",
            )


def _of_object(value: object, *, field: str) -> _Candidate:
    assert fields.is_row(value)
    names = [name for name in ("response", "content", "text") if value.get(name) is not None]
    if not names:
        raise fields.wrong_type(value, field=field, expected="an object with `response`")
    return _Candidate(
        value[names[0]],
        _flag(value["correct"], field=f"{field}.correct"),
        fields.optional_text(value, "model"),
    )


def _check_number(marks: list[object], given: list[object], *, field: str) -> None:
    if len(marks) != len(given):
        raise DataError(
            "candidates-mismatch",
            value=f"{len(marks)} for {len(given)} responses",
            place=field,
            expected="one for each response",
            mend="Leave a response out where it is not known whether it is right.",
        )


def _flag(value: object, *, field: str) -> bool:
    if value not in (0, 1):
        raise fields.wrong_type(value, field=field, expected="true or false, or 1 or 0")
    return bool(value)


def _rating(value: object, *, field: str) -> float:
    if not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
        raise fields.wrong_type(value, field=field, expected="a finite number, or true or false")
    return float(value)
