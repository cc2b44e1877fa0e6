"""Content in rows: text with picture markers or typed parts, and which picture goes where.

A form first makes a `Draft`, whose content has a `Hole` for each picture; `bind` then fills the
holes with the row's pictures in reading order: prompt, then answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vlreward.errors import DataError
from vlreward.records import Judgment, Role
from vlreward.sources import attachments, fields
from vlreward.sources.attachments import PictureSource

MARKER = "<image>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """A picture's place; with `source` None it takes the next of the row's pictures."""

    source: PictureSource | None = None


DraftContent = tuple[str | Hole, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftMessage:
    """A turn whose pictures are not read yet."""

    role: Role
    content: DraftContent


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A row as its form reads it: a prompt, its answers (the chosen one first), its pictures."""

    prompt: tuple[DraftMessage, ...]
    answers: tuple[DraftContent, ...]
    images: tuple[PictureSource, ...]
    judgment: Judgment | None = None
    """Where it is part of the form; else the row's own fields say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RatedDraft:
    """A row as its form reads it, with a rating for each of the draft's answers."""

    draft: Draft
    ratings: tuple[float, ...]
    judgment: Judgment


def split_markers(text: str) -> DraftContent:
    """The text with a hole for every `<image>`; empty pieces are left out."""
    content: list[str | Hole] = []
    for index, piece in enumerate(text.split(MARKER)):
        if index:
            content.append(Hole())
        if piece:
            content.append(piece)
    return tuple(content)


def parse_content(value: object, *, field: str, literal: bool = False) -> DraftContent:
    """Content as text with markers, or as a list of typed parts.

    With typed image parts, or when `literal`, a marker inside a text is just text.
    """
    if isinstance(value, str):
        text = fields.text(value, field=field)
        return (text,) if literal else split_markers(text)
    if not isinstance(value, (list, tuple)):
        raise fields.wrong_type(value, field=field, expected="text or a list of parts")
    parts = [_parse_part(part, field=f"{field}[{i}]") for i, part in enumerate(value)]
    if literal or any(isinstance(part, Hole) for part in parts):
        return tuple(parts)
    return tuple(piece for part in parts if isinstance(part, str) for piece in split_markers(part))


def num_holes(contents: Sequence[DraftContent]) -> int:
    """How many holes wait for one of the row's pictures."""
    return sum(part == Hole() for content in contents for part in content)


def bind(draft: Draft) -> Draft:
    """The draft with every hole given its picture.

    If the row has pictures and no place is marked for any, they go first into the first user
    message. Raises DataError if the numbers of places and pictures differ.
    """
    prompt = draft.prompt
    contents = [message.content for message in prompt] + list(draft.answers)
    has_holes = any(isinstance(part, Hole) for content in contents for part in content)
    if draft.images and not has_holes:
        prompt = _with_pictures_first(prompt, num_pictures=len(draft.images))
        contents[: len(prompt)] = [message.content for message in prompt]
    check_counts(contents, num_images=len(draft.images))
    images = iter(draft.images)
    filled = [
        tuple(Hole(source=next(images)) if part == Hole() else part for part in content)
        for content in contents
    ]
    messages = tuple(
        replace(message, content=content) for message, content in zip(prompt, filled, strict=False)
    )
    return replace(draft, prompt=messages, answers=tuple(filled[len(prompt) :]))


def check_counts(contents: Sequence[DraftContent], *, num_images: int) -> None:
    """Raises DataError unless there is one marked place for each of the row's pictures."""
    num_places = num_holes(contents)
    if num_places != num_images:
        raise DataError(
            "markers-mismatch",
            value=f"{num_places} picture places in the text, {num_images} pictures in the row",
            place="images",
            expected=f"as many {MARKER} markers or image parts as pictures",
            mend="List the pictures in reading order (prompt, chosen, rejected), each once for "
            "each place.",
        )


def _with_pictures_first(
    prompt: tuple[DraftMessage, ...], *, num_pictures: int
) -> tuple[DraftMessage, ...]:
    for index, message in enumerate(prompt):
        if message.role == "user":
            holes = tuple(Hole() for _ in range(num_pictures))
            first = replace(message, content=holes + message.content)
            return (*prompt[:index], first, *prompt[index + 1 :])
    return prompt


def _parse_part(part: object, *, field: str) -> str | Hole:
    if isinstance(part, str):
        return fields.text(part, field=field)
    if not fields.is_row(part):
        raise fields.wrong_type(part, field=field, expected="text or an object with a 'type'")
    kind = part.get("type")
    if kind == "text":
        value = part.get("text") if part.get("text") is not None else part.get("value")
        return fields.text(value, field=f"{field}.text")
    if kind in ("image", "image_url", "input_image"):
        return Hole(source=_part_source(part, field=field))
    raise DataError(
        "part-unknown",
        value=fields.describe(kind),
        place=f"{field}.type",
        expected="'text', 'image' or 'image_url'",
        mend=fields.misspelling(part, "type") or "Only text and pictures can be read.",
    )


def _part_source(part: fields.Row, *, field: str) -> PictureSource | None:
    for key in ("image", "image_url", "url", "path", "bytes", "value"):
        if part.get(key) is not None:
            return attachments.unwrap(part[key], field=f"{field}.{key}")
    return None
