"""Scoring input: rows of a prompt with any number of responses, or preference pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vlreward.records import Prompt, Response
from vlreward.sources import fields
from vlreward.sources.attachments import PictureReader, images_of
from vlreward.sources.content import Draft
from vlreward.sources.convert import RowContext, fill
from vlreward.sources.detect import PAIR_FORMS, Form, forms_of
from vlreward.sources.fields import Row
from vlreward.sources.messages import parse_answer, parse_conversation


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A prompt and the responses to score, in the row's order (of a pair, the chosen one first)."""

    row_id: str | None
    place: str
    prompt: Prompt
    responses: tuple[Response, ...]


def draft_responses(row: Row) -> Draft:
    """Reads a row {prompt, responses, images?}.

    Pictures are in the order prompt, then responses; one that all refer to is the prompt's.
    """
    given = fields.items(fields.required(row, "responses"), field="responses")
    if not given:
        raise fields.wrong_type(given, field="responses", expected="at least one response")
    return Draft(
        prompt=parse_conversation(fields.required(row, "prompt"), field="prompt"),
        answers=tuple(
            parse_answer(value, field=f"responses[{index}]") for index, value in enumerate(given)
        ),
        images=images_of(row),
    )


COMPARISON_FORMS: Mapping[str, Form] = {"responses": draft_responses, **PAIR_FORMS}


def comparison_forms_of(row: Row) -> list[str]:
    """The forms that the row fits: that of `responses` where it has them, else one of pairs."""
    return ["responses"] if row.get("responses") is not None else forms_of(row)


def to_comparison(
    row: Row, *, form: Form, context: RowContext, pictures: PictureReader
) -> Comparison:
    """The row as a comparison; raises DataError, with the field as its place, where it is not."""
    draft = form(row)
    is_pair = form is not draft_responses
    names = (
        ("chosen", "rejected")
        if is_pair
        else tuple(f"responses[{index}]" for index in range(len(draft.answers)))
    )
    models = (
        [fields.optional_text(row, f"{name}_model") for name in names]
        if is_pair
        else [None] * len(names)
    )
    prompt, answers = fill(draft, row=row, context=context, pictures=pictures, answer_names=names)
    return Comparison(
        row_id=fields.optional_text(row, "id"),
        place=context.place,
        prompt=prompt,
        responses=tuple(
            Response(content=answer, model=model)
            for answer, model in zip(answers, models, strict=True)
        ),
    )
