"""Scoring input: rows of a prompt with responses, conversations, or preference pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vlreward.records import Prompt, Response
from vlreward.sources import fields, llava_critic
from vlreward.sources.attachments import PictureReader, images_of
from vlreward.sources.content import Draft
from vlreward.sources.convert import RowContext, fill
from vlreward.sources.detect import PAIR_FORMS, Form, forms_of
from vlreward.sources.fields import Row
from vlreward.sources.messages import answer_of, parse_answer, parse_conversation


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


def draft_conversation(row: Row) -> Draft:
    """Reads a row {messages or conversations, images?}, as data to fine-tune on has it.

    The response is the assistant's last turn; all turns before it are the prompt.
    """
    name = "messages" if row.get("messages") is not None else "conversations"
    turns = parse_conversation(fields.required(row, name), field=name)
    answer = answer_of(turns[-1:], field=f"{name}[-1]")
    return Draft(prompt=turns[:-1], answers=(answer,), images=images_of(row))


COMPARISON_FORMS: Mapping[str, Form] = {
    "responses": draft_responses,
    "conversation": draft_conversation,
    **PAIR_FORMS,
}


def comparison_forms_of(row: Row) -> list[str]:
    """The forms that the row fits: `responses` where it has them, else pairs', else a conversation.

    A conversation is a row with no word of another answer, and not one that asks for a score.
    """
    if row.get("responses") is not None:
        return ["responses"]
    turns = [name for name in ("messages", "conversations") if row.get(name) is not None]
    is_alone = len(turns) == 1 and not any(
        name.startswith(("chosen", "rejected")) and value is not None for name, value in row.items()
    )
    is_plain = is_alone and not llava_critic.asks_for_a_score(row)
    return forms_of(row) or (["conversation"] if is_plain else [])


def to_comparison(
    row: Row, *, form: Form, context: RowContext, pictures: PictureReader
) -> Comparison:
    """The row as a comparison; raises DataError, with the field as its place, where it is not."""
    draft = form(row)
    is_pair = form in PAIR_FORMS.values()
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
