"""From a draft to the pair or comparison: pictures admitted, answers and judgment checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from vlreward.errors import DataError
from vlreward.records import (
    Judgment,
    Message,
    Origin,
    Part,
    PreferencePair,
    Prompt,
    Response,
    same_content,
)
from vlreward.sources import content, fields
from vlreward.sources.attachments import PictureReader
from vlreward.sources.content import Draft, DraftContent, Hole
from vlreward.sources.detect import Form
from vlreward.sources.fields import Row
from vlreward.sources.messages import with_system


@dataclass(frozen=True, kw_only=True, slots=True)
class RowContext:
    """What a row does not say itself: its place, its pictures' folder, its origin's defaults."""

    place: str
    folder: Path | None
    default_source: str
    forced_source: str | None = None
    default_split: str | None = None


def to_pair(
    row: Row, *, form: Form, context: RowContext, pictures: PictureReader
) -> PreferencePair:
    """The row as a pair; raises DataError, with the field as its place, where it is not one."""
    draft = form(row)
    prompt, (chosen, rejected) = fill(draft, row=row, context=context, pictures=pictures)
    pair = PreferencePair(
        prompt=prompt,
        chosen=Response(content=chosen, model=fields.optional_text(row, "chosen_model")),
        rejected=Response(content=rejected, model=fields.optional_text(row, "rejected_model")),
        judgment=draft.judgment or judgment_of(row),
        origin=origin_of(row, context=context),
    )
    _check_different(pair)
    return pair


def origin_of(row: Row, *, context: RowContext) -> Origin:
    """Where the row is from: its own fields, else the context's defaults."""
    return Origin(
        source=source_of(row, context=context),
        row_id=fields.optional_text(row, _id_field(row)),
        task=fields.optional_text(row, "task"),
        split=fields.optional_text(row, "split") or context.default_split,
        place=context.place,
    )


def source_of(row: Row, *, context: RowContext) -> str:
    """What the row's source is called; raises DataError if the row's own name for it is no text."""
    return (
        context.forced_source
        or fields.optional_text(row, "source" if "source" in row else "ds_name")
        or context.default_source
    )


def row_id_of(row: Row) -> object:
    """What the row gives as its own id, of whatever type; None without one."""
    return row.get(_id_field(row))


def _id_field(row: Row) -> str:
    return next((name for name in ("row_id", "id", "idx") if name in row), "id")


def judgment_of(row: Row) -> Judgment:
    """What the row's own fields say about who preferred, and how surely."""
    return Judgment(
        kind=fields.optional_text(row, "label_type") or "unknown",
        judge=fields.optional_text(row, "judge"),
        confidence=fields.optional_number(row, "confidence", low=0.0, high=1.0),
        margin=fields.optional_number(row, "margin"),
    )


def fill(
    draft: Draft,
    *,
    row: Row,
    context: RowContext,
    pictures: PictureReader,
    answer_names: tuple[str, ...] = ("chosen", "rejected"),
    allow_empty: bool = False,
) -> tuple[Prompt, tuple[tuple[Part, ...], ...]]:
    """The draft's prompt and answers with their pictures.

    Raises DataError on an empty prompt, and on an empty answer unless that is allowed.
    """
    fields.check_modalities(row)
    bound = _bind(replace(draft, prompt=with_system(draft, row)), row=row)

    def read(parts: DraftContent, *, field: str) -> tuple[Part, ...]:
        return tuple(_read_parts(parts, context=context, pictures=pictures, field=field))

    prompt = Prompt(
        messages=tuple(
            Message(role=message.role, content=read(message.content, field=f"prompt[{index}]"))
            for index, message in enumerate(bound.prompt)
        )
    )
    _check_prompt(prompt)
    named = zip(bound.answers, answer_names, strict=True)
    answers = tuple(read(parts, field=name) for parts, name in named)
    if not allow_empty:
        for answer, name in zip(answers, answer_names, strict=True):
            _check_answer(answer, field=name)
    return prompt, answers


def _bind(draft: Draft, *, row: Row) -> Draft:
    """`content.bind`, whose error names a field that may have been meant to be `images`."""
    try:
        return content.bind(draft)
    except DataError as error:
        hint = "" if draft.images else fields.misspelling(row, "images")
        raise DataError(
            error.code,
            value=error.value,
            place=error.place,
            expected=error.expected,
            mend=hint or error.mend,
        ) from error


def _read_parts(
    parts: DraftContent, *, context: RowContext, pictures: PictureReader, field: str
) -> Iterable[Part]:
    for part in parts:
        if isinstance(part, Hole):
            assert part.source is not None, "bind filled every hole"
            yield pictures.read(part.source, folder=context.folder, field=f"{field}, picture")
        else:
            yield part


def _is_empty(parts: tuple[Part, ...]) -> bool:
    return all(isinstance(part, str) and not part.strip() for part in parts)


def _check_prompt(prompt: Prompt) -> None:
    if all(_is_empty(m.content) for m in prompt.messages if m.role == "user"):
        raise DataError(
            "prompt-empty",
            value="no text and no picture from the user",
            place="prompt",
            expected="a prompt with something to answer",
            mend="Drop the row.",
        )


def _check_answer(answer: tuple[Part, ...], *, field: str) -> None:
    if _is_empty(answer):
        raise DataError(
            "answer-empty",
            value="white space or nothing",
            place=field,
            expected="an answer with text or a picture",
            mend="Drop the row.",
        )


def _check_different(pair: PreferencePair) -> None:
    if same_content(pair.chosen, pair.rejected):
        raise DataError(
            "pair-identical",
            value="the same answer twice",
            place="chosen, rejected",
            expected="two different answers",
            mend="Drop the row: it holds no preference.",
        )
