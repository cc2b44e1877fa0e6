"""Rows of two answers side by side and what judges said of them: PandaLM, WildVision, arenas.

`prompt`, `instruction` (with `input` below it, where there is one) or `question`; `response_a` and
`response_b`, or `response1` and `response2`; and either votes, one a judge (`votes`, a list, or
`annotator1`, `annotator2`, …), or one verdict in the arena's words (`score`: A>>B, A>B, A=B, …).
https://github.com/WeOpenML/PandaLM (data/testset-v1.json) and
https://github.com/WildVision-AI/WildVision-Bench have these.
"""

from __future__ import annotations

from collections import Counter

from vlreward.errors import DataError
from vlreward.records import Judgment
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import Draft, DraftMessage, split_markers
from vlreward.sources.fields import Row

_PROMPTS = ("prompt", "instruction", "question")
_ANSWERS = (("response_a", "response_b"), ("response1", "response2"), ("response_1", "response_2"))
_ARENA = {"A>>B": 2.0, "A>B": 1.0, "A=B": 0.0, "B>A": -1.0, "B>>A": -2.0}
_VOTES = {"1": 1, "a": 1, "2": -1, "b": -1, "0": 0, "tie": 0, "equal": 0}


def fits(row: Row) -> bool:
    """Whether the row has two answers side by side, and none that is called chosen."""
    has_answers = any(all(row.get(name) is not None for name in names) for names in _ANSWERS)
    is_judged = (
        isinstance(row.get("score"), str) or row.get("votes") is not None or _annotators(row)
    )
    return bool(
        has_answers and is_judged and row.get("chosen") is None and _prompt_field(row) is not None
    )


def draft(row: Row) -> Draft:
    """Reads a row; raises DataError as `judged-equal` where neither answer was found better."""
    name = _prompt_field(row) or "prompt"
    prompt = fields.text(fields.required(row, name), field=name)
    below = fields.optional_text(row, "input") if name == "instruction" else None
    names = next((one for one in _ANSWERS if row.get(one[0]) is not None), _ANSWERS[0])
    first, second = (fields.text(fields.required(row, one), field=one) for one in names)
    lead, judgment = _arena(row) if isinstance(row.get("score"), str) else _majority(row)
    better, worse = (first, second) if lead > 0 else (second, first)
    images = images_of(row)
    text = f"{prompt}\n\n{below}" if below else prompt
    return Draft(
        prompt=(DraftMessage(role="user", content=split_markers(text)),),
        answers=((better,), (worse,)),
        images=images,
        judgment=judgment,
    )


def _prompt_field(row: Row) -> str | None:
    return next((name for name in _PROMPTS if row.get(name) is not None), None)


def _arena(row: Row) -> tuple[float, Judgment]:
    """By how much the first answer leads, and what was said."""
    said = fields.text(row["score"], field="score").strip().strip("[]")
    if said not in _ARENA:
        raise fields.wrong_type(said, field="score", expected=f"one of {', '.join(_ARENA)}")
    lead = _ARENA[said]
    if lead == 0:
        raise _equal(said, place="score")
    judge = fields.optional_text(row, "judge")
    return lead, Judgment(kind="model", judge=judge, margin=abs(lead))


def _majority(row: Row) -> tuple[float, Judgment]:
    """The lead of the first answer in votes, and the share of the votes that its side has."""
    votes = _votes(row)
    counts = Counter(votes)
    lead = counts[1] - counts[-1]
    if lead == 0 or counts[0] >= max(counts[1], counts[-1]):
        raise _equal(f"{counts[1]} to {counts[-1]}, and {counts[0]} for neither", place="votes")
    share = max(counts[1], counts[-1]) / len(votes)
    kind = fields.optional_text(row, "label_type") or "human"
    return lead, Judgment(kind=kind, confidence=share)


def _votes(row: Row) -> list[int]:
    """1 for the first answer, -1 for the second, 0 for neither."""
    if row.get("votes") is not None:
        given = {
            f"votes[{at}]": one
            for at, one in enumerate(fields.items(row["votes"], field="votes"))
            if one is not None
        }
    else:
        given = {name: row[name] for name in _annotators(row)}
    if not given:
        fields.required(row, "votes")
    votes = []
    for field, value in given.items():
        said = str(value).strip().lower().removesuffix(".0")
        if said not in _VOTES:
            raise fields.wrong_type(value, field=field, expected="1 or A, 2 or B, 0 or tie")
        votes.append(_VOTES[said])
    return votes


def _annotators(row: Row) -> list[str]:
    """The fields that hold a judge's vote."""
    return [
        name
        for name, value in row.items()
        if name.startswith("annotator") and name[9:].isdigit() and value is not None
    ]


def _equal(value: str, *, place: str) -> DataError:
    return DataError(
        "judged-equal",
        value=value,
        place=place,
        expected="a preference",
        mend="Drop the row: it holds none.",
    )
