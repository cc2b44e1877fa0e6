"""Answers with ratings, one or several a row, and the pairs that they make.

LLaVA-Critic-113k's configuration `pointwise` asks a judge for one answer's score, in words
(https://huggingface.co/datasets/lmms-lab/llava-critic-113k). Other sets list the answers to a
prompt with a number each.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vlreward.errors import DataError
from vlreward.records import Judgment, Origin, PreferencePair, Prompt, Response
from vlreward.sources import fields
from vlreward.sources.attachments import PictureReader, images_of
from vlreward.sources.content import Draft, DraftContent, DraftMessage, Hole
from vlreward.sources.convert import RowContext, fill, origin_of
from vlreward.sources.fields import Row
from vlreward.sources.llava_critic import (
    JUDGE,
    bracketed,
    only,
    request_and_reply,
    without_markers,
)
from vlreward.sources.messages import parse_answer, parse_conversation


@dataclass(frozen=True, kw_only=True, slots=True)
class RatedAnswer:
    """An answer and how good it was found, on its data set's own scale."""

    prompt: Prompt
    response: Response
    rating: float
    judgment: Judgment
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class RatedDraft:
    """A row as its form reads it, with a rating for each of the draft's answers."""

    draft: Draft
    ratings: tuple[float, ...]
    judgment: Judgment


RatedForm = Callable[[Row], RatedDraft]

_QUESTION = re.compile(r"^Question:?[ \t]*(?=\[)", re.MULTILINE)
_ANSWER = re.compile(r"^(?:The LMM response|Response|Answer):?[ \t]*(?=\[)", re.MULTILINE)
_SCORE = re.compile(r"\bScore\s*:\s*\[?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)


def draft_pointwise(row: Row) -> RatedDraft:
    """Reads a row of LLaVA-Critic's `pointwise`; the last score that the reply states counts."""
    request, reply = request_and_reply(row)
    place = "conversations[0]"
    question, answer = (only(one, request, place=place) for one in (_QUESTION, _ANSWER))
    scores = _SCORE.findall(reply)
    if not scores or question.end() > answer.start():
        raise DataError(
            "critic-unreadable",
            value=fields.describe(reply if not scores else request),
            place="conversations[1]" if not scores else place,
            expected="a question, an answer and its score, in a form of LLaVA-Critic",
            mend="Drop the row, or name the form that it has.",
        )
    images = images_of(row)
    asked = without_markers(bracketed(request[question.end() : answer.start()].strip()))
    content: DraftContent = (*(Hole() for _ in images), asked)
    return RatedDraft(
        draft=Draft(
            prompt=(DraftMessage(role="user", content=content),),
            answers=((bracketed(request[answer.end() :].strip()),),),
            images=images,
        ),
        ratings=(float(scores[-1]),),
        judgment=Judgment(kind="model", judge=JUDGE),
    )


def draft_rated(row: Row) -> RatedDraft:
    """Reads a row {prompt, responses, ratings, images?}; a rating may be true or false."""
    given = fields.items(fields.required(row, "responses"), field="responses")
    ratings = fields.items(fields.required(row, "ratings"), field="ratings")
    if len(given) != len(ratings) or not given:
        raise DataError(
            "ratings-mismatch",
            value=f"{len(ratings)} ratings of {len(given)} responses",
            place="ratings",
            expected="one rating for each response",
            mend="Leave a response out where its rating is not known.",
        )
    return RatedDraft(
        draft=Draft(
            prompt=parse_conversation(fields.required(row, "prompt"), field="prompt"),
            answers=tuple(
                parse_answer(value, field=f"responses[{index}]")
                for index, value in enumerate(given)
            ),
            images=images_of(row),
        ),
        ratings=tuple(
            _rating(value, field=f"ratings[{index}]") for index, value in enumerate(ratings)
        ),
        judgment=Judgment(
            kind=fields.optional_text(row, "label_type") or "unknown",
            judge=fields.optional_text(row, "judge"),
        ),
    )


RATED_FORMS: Mapping[str, RatedForm] = {
    "llava-critic-pointwise": draft_pointwise,
    "rated": draft_rated,
}


def rated_forms_of(row: Row) -> list[str]:
    """The names of the forms that the row's fields fit."""
    if row.get("responses") is not None and row.get("ratings") is not None:
        return ["rated"]
    turns = row.get("conversations")
    if not isinstance(turns, (list, tuple)) or not turns or row.get("chosen") is not None:
        return []
    request = turns[0].get("value") if fields.is_row(turns[0]) else None
    is_asked = isinstance(request, str) and _QUESTION.search(request) and _ANSWER.search(request)
    return ["llava-critic-pointwise"] if is_asked else []


def to_rated_answers(
    row: Row, *, form: RatedForm, context: RowContext, pictures: PictureReader
) -> tuple[RatedAnswer, ...]:
    """The row's answers; raises DataError, with the field as its place, where it has none."""
    rated = form(row)
    names = tuple(f"responses[{index}]" for index in range(len(rated.ratings)))
    prompt, answers = fill(
        rated.draft, row=row, context=context, pictures=pictures, answer_names=names
    )
    origin = origin_of(row, context=context)
    models = row.get("models")
    known = models if isinstance(models, (list, tuple)) and len(models) == len(answers) else None
    return tuple(
        RatedAnswer(
            prompt=prompt,
            response=Response(
                content=answer,
                model=None if known is None else fields.text(known[index], field="models"),
            ),
            rating=rating,
            judgment=rated.judgment,
            origin=origin,
        )
        for index, (answer, rating) in enumerate(zip(answers, rated.ratings, strict=True))
    )


def pairs_of(
    answers: Iterable[RatedAnswer], *, min_gap: float, max_pairs: int
) -> Iterator[PreferencePair]:
    """Pairs of answers to one prompt, those with the widest gaps of ratings first.

    At most `max_pairs` for a prompt, prompts in the order in which they first came; equal ratings
    make none, nor do gaps below `min_gap`. An answer that was rated several times has the mean.
    The margin is the gap, the origin the better answer's. The order of a prompt's answers counts
    for nothing.
    """
    by_prompt: dict[Prompt, list[RatedAnswer]] = {}
    for answer in answers:
        by_prompt.setdefault(answer.prompt, []).append(answer)
    for group in by_prompt.values():
        pairs = _all_pairs(_rated_once(group), min_gap=min_gap)
        yield from sorted(pairs, key=_widest_first)[:max_pairs]


def _rated_once(group: Sequence[RatedAnswer]) -> list[RatedAnswer]:
    """Each answer once, with its mean rating and the first origin by the alphabet."""
    by_response: dict[Response, list[RatedAnswer]] = {}
    for answer in group:
        by_response.setdefault(answer.response, []).append(answer)
    return [
        replace(
            min(same, key=lambda one: (one.origin.source, one.origin.row_id or "")),
            rating=math.fsum(one.rating for one in same) / len(same),
        )
        for same in by_response.values()
    ]


def _all_pairs(group: Sequence[RatedAnswer], *, min_gap: float) -> Iterator[PreferencePair]:
    for better, worse in itertools.permutations(group, 2):
        gap = better.rating - worse.rating
        if gap > 0 and gap >= min_gap:
            yield PreferencePair(
                prompt=better.prompt,
                chosen=better.response,
                rejected=worse.response,
                judgment=replace(better.judgment, margin=gap),
                origin=better.origin,
            )


def _widest_first(pair: PreferencePair) -> tuple[float, str]:
    """Sorts by falling margin, equal ones by their content."""
    return -(pair.judgment.margin or 0.0), pair.id


def _rating(value: object, *, field: str) -> float:
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise fields.wrong_type(value, field=field, expected="a finite number, or true or false")
    return float(value)
