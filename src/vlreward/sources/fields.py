"""Typed access to a row's fields; what does not fit is refused with a sentence.

The place of an error raised here is the field; the reader puts file, line and row id before it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import TypeGuard

from vlreward.errors import DataError

Row = Mapping[str, object]

KNOWN_FIELDS = (
    "chosen",
    "chosen_messages",
    "chosen_model",
    "confidence",
    "conversations",
    "id",
    "image",
    "images",
    "judge",
    "label_type",
    "margin",
    "messages",
    "prompt",
    "rejected",
    "rejected_images",
    "rejected_messages",
    "rejected_model",
    "rejected_response",
    "responses",
    "row_id",
    "source",
    "split",
    "system",
    "task",
)

_UNSUPPORTED = ("videos", "video", "audios", "audio", "tools", "tool_calls")

_LAST_EXACT = 2.0**53
"""Greater whole numbers have lost digits as floats."""


def required(row: Row, name: str) -> object:
    """The field's value; missing or null is refused, naming a likely misspelling."""
    value = row.get(name)
    if value is None:
        raise DataError(
            "field-missing",
            value="null" if name in row else describe_fields(row),
            place=name,
            expected=f"a field {name!r} with a value",
            mend=misspelling(row, name) or f"Add {name!r}, or set the format that the rows have.",
        )
    return value


def misspelling(row: Row, name: str) -> str:
    """A sentence that points to a field that was likely meant to be `name`; else empty."""
    strangers = [key for key in row if key not in KNOWN_FIELDS and key != name]
    near = difflib.get_close_matches(name, strangers, n=1, cutoff=0.7)
    return f"The row has {near[0]!r}: did you mean {name!r}?" if near else ""


def is_row(value: object) -> TypeGuard[Row]:
    """Whether the value is an object with named fields."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def is_writable(text: str) -> bool:
    """Whether the text can be written as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def text(value: object, *, field: str) -> str:
    """The value as text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise wrong_type(value, field=field, expected="text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            "text-surrogate",
            value=f"half of a surrogate pair, {value[error.start]!r}, at character {error.start}",
            place=field,
            expected="text that can be written as UTF-8",
            mend="The text was cut inside a character: write it again from its origin.",
        ) from error
    return value


def optional_text(row: Row, name: str) -> str | None:
    """The field as text, None where missing; whole numbers are spelt out."""
    value = row.get(name)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LAST_EXACT:
        value = int(value)  # a column of whole numbers that pandas has read
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**100:
        return str(value)
    return None if value is None else text(value, field=name)


def optional_number(
    row: Row, name: str, *, low: float = -math.inf, high: float = math.inf
) -> float | None:
    """The field as a finite number from `low` to `high`, None where missing."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(value, field=name, expected="a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(
            "number-not-finite",
            value=number,
            place=name,
            expected="a finite number",
            mend="Leave the field out where the value is not known.",
        )
    if not low <= number <= high:
        raise DataError(
            "number-out-of-range",
            value=number,
            place=name,
            expected=f"a number from {low:g} to {high:g}",
            mend="Scale the values, or leave the field out.",
        )
    return number


def items(value: object, *, field: str) -> list[object]:
    """The value as a list."""
    if not isinstance(value, (list, tuple)):
        raise wrong_type(value, field=field, expected="a list")
    return list(value)


def check_modalities(row: Row) -> None:
    """Refuses a row or message that holds what is not modelled here: video, audio, tools."""
    for name in _UNSUPPORTED:
        if row.get(name) not in (None, "", "[]", [], (), {}):
            raise DataError(
                "modality-unsupported",
                value=describe(row[name]),
                place=name,
                expected="text and pictures alone",
                mend="Drop the row, or drop the field if the pair means the same without it.",
            )


def wrong_type(value: object, *, field: str, expected: str) -> DataError:
    """The error for a value of another type than expected."""
    return DataError(
        "field-type",
        value=describe(value),
        place=field,
        expected=expected,
        mend="Write the field in the form that the format asks for.",
    )


def describe(value: object) -> str:
    """A short word for a value of any size and depth."""
    if isinstance(value, str):
        return ascii(value) if len(value) <= 60 else f"{value[:60]!a}… ({len(value)} characters)"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if is_row(value):
        return describe_fields(value)
    if value is None or isinstance(value, (bool, float)):
        return str(value)
    return f"a value of type {type(value).__name__}"


def describe_id(value: object) -> str:
    """A row's id for an error's place, in printable ASCII and at most 80 characters."""
    shown = ascii(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"


def describe_fields(row: Row) -> str:
    """The names of the row's fields, for an error message."""
    if not row:
        return "an object without fields"
    names = ", ".join(ascii(key)[1:-1] for key in list(row)[:20])
    return f"an object with the fields {names}{', …' if len(row) > 20 else ''}"
