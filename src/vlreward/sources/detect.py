"""Which form rows have, told from their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vlreward.errors import DataError
from vlreward.sources import (
    fields,
    llava_critic,
    ms_swift,
    neutral,
    published,
    question,
    ranked,
    sharegpt,
    side_by_side,
    trl,
)
from vlreward.sources.content import Draft
from vlreward.sources.fields import Row

Form = Callable[[Row], Draft]

PAIR_FORMS: Mapping[str, Form] = {
    "vlreward": published.draft,
    "trl": trl.draft,
    "sharegpt": sharegpt.draft,
    "ms-swift": ms_swift.draft,
    "neutral": neutral.draft,
    "question": question.draft,
    "llava-critic": llava_critic.draft,
    "side-by-side": side_by_side.draft,
    "ranked": ranked.draft,
}

_FITS: Mapping[str, Callable[[Row], bool]] = {
    "llava-critic": llava_critic.fits,
    "question": question.fits,
    "side-by-side": side_by_side.fits,
    "ranked": ranked.fits,
}
"""Forms whose own module knows their rows."""

_DESCRIPTIONS = (
    "trl (chosen, rejected, and prompt unless it is implicit), "
    "sharegpt (conversations, chosen, rejected; or chosen_messages, rejected_messages), "
    "ms-swift (messages, rejected_response or rejected_messages), "
    "neutral (prompt, chosen, rejected as text, images), question (question, chosen, rejected, "
    "image), llava-critic (conversations that judge two answers, image), side-by-side (prompt or "
    "instruction, response_a and response_b, score or votes), ranked (query, response, "
    "human_ranking) and vlreward (written by this package)"
)
_SPELLINGS = ("chosen", "rejected", "conversations", "messages", "rejected_response")


def forms_of(row: Row) -> list[str]:
    """The names of the forms that the row's fields fit; one, unless it is unknown or ambiguous."""
    has = {name for name, value in row.items() if value is not None}
    found = [name for name, fits in _FITS.items() if fits(row)]
    if "question" in found:
        return found
    if "messages" in has and has & {"rejected_response", "rejected_messages"}:
        found.append("ms-swift")
    if {"chosen_messages", "rejected_messages"} <= has:
        found.append("sharegpt")
    if {"chosen", "rejected"} <= has:
        if "conversations" in has or ("messages" in has and "prompt" not in has):
            found.append("sharegpt")
        if "conversations" not in has and ("messages" not in has or "prompt" in has):
            found += _plain_form(row, has)
        elif "prompt" in has:
            found.append("trl")
    return list(dict.fromkeys(found))


def unknown_form(row: Row, *, place: str, also: str = "") -> DataError:
    """The error for rows of no known form, or of several."""
    found = forms_of(row)
    hints = [fields.misspelling(row, name) for name in _SPELLINGS if name not in row]
    hint = next(filter(None, hints), "")
    return DataError(
        "format-ambiguous" if found else "format-unknown",
        value=fields.describe_fields(row) + (f" fits {' and '.join(found)}" if found else ""),
        place=place,
        expected=f"one of the forms {also}{_DESCRIPTIONS}",
        mend=hint or "Rename the fields, or set `format` of the source in a configuration file.",
    )


def _plain_form(row: Row, has: set[str]) -> list[str]:
    """The form of a row with `chosen` and `rejected` and no conversation beside them."""
    answers = (row["chosen"], row["rejected"])
    if isinstance(row.get("prompt"), str) and all(isinstance(a, str) for a in answers):
        return ["neutral"] if has & {"images", "label_type"} else ["trl"]
    in_messages = all(isinstance(answer, (list, tuple)) for answer in answers)
    if in_messages and {"id", "source", "label_type", "prompt"} <= has:
        return ["vlreward"]
    return ["trl"] if in_messages or "prompt" in has else []
