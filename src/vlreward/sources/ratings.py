"""Answers with ratings, one or several a row, and the pairs that they make."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vlreward.errors import DataError
from vlreward.records import Judgment, Origin, PreferencePair, Prompt, Response
from vlreward.sources import fields, llava_critic
from vlreward.sources.attachments import PictureReader, images_of
from vlreward.sources.content import Draft, RatedDraft
from vlreward.sources.convert import RowContext, fill, judgment_of, origin_of
from vlreward.sources.fields import Row
from vlreward.sources.messages import parse_answer, parse_conversation


@dataclass(frozen=True, kw_only=True, slots=True)
class RatedAnswer:
    """An answer and how good it was found, on its data set's own scale."""

    prompt: Prompt
    response: Response
    rating: float
    judgment: Judgment
    origin: Origin


RatedForm = Callable[[Row], RatedDraft]


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
        judgment=judgment_of(row),
    )


RATED_FORMS: Mapping[str, RatedForm] = {
    "llava-critic-pointwise": llava_critic.draft_score,
    "rated": draft_rated,
}


def rated_forms_of(row: Row) -> list[str]:
    """The names of the forms that the row's fields fit."""
    if row.get("responses") is not None and row.get("ratings") is not None:
        return ["rated"]
    return ["llava-critic-pointwise"] if llava_critic.asks_for_a_score(row) else []


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


def rows_of_answers(answers: Iterable[RatedAnswer]) -> Iterator[tuple[RatedAnswer, ...]]:
    """The answers of each row together; they come in the order of rows."""
    for _, row in itertools.groupby(answers, key=lambda one: one.origin.place):
        yield tuple(row)


def unpaired(row: Sequence[RatedAnswer], *, min_gap: float) -> DataError:
    """The error of a row none of whose answers is in a pair."""
    origin = row[0].origin
    ratings = ", ".join(f"{one.rating:g}" for one in row)
    error = DataError(
        "rating-unpaired",
        value=f"answers rated {ratings}",
        place=origin.place,
        expected="another answer to the same prompt, among its pairs with the widest gaps, whose "
        "rating differs" + (f" by at least {min_gap:g}" if min_gap else ""),
        mend="Read all answers to a prompt together; or change min_rating_gap or "
        "max_pairs_per_prompt of the source.",
    )
    error.row_id, error.row_place = origin.row_id, origin.place
    error.row_source = origin.source
    return error


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
