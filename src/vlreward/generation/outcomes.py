"""What becomes of a request: a reply, or a failure with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from vlreward.errors import DataError

Reason = Literal[
    "refusal",
    "empty",
    "rejected",
    "rate-limited",
    "server-error",
    "timeout",
    "connection",
    "torn-reply",
    "picture",
    "budget",
    "verdict-unreadable",
    "rating-unreadable",
    "field-unreadable",
    "thinking-unfinished",
    "description-cut",
]
OUTAGES: frozenset[Reason] = frozenset(
    {"rate-limited", "server-error", "timeout", "connection", "torn-reply"}
)
"""What may be the endpoint's trouble and none of the request's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a model answered.

    `model` is the name that the endpoint gave itself; tokens are as it counted them, None where it
    did not; `dollars` is None where no price is known. `reasoning` is what the endpoint sent apart
    from the text. `seconds` is how long the last attempt took, `time` when it ended, in seconds
    since 1970.
    """

    text: str
    finish_reason: str
    model: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    dollars: float | None = None
    attempts: int = 1
    seconds: float = 0.0
    time: float = 0.0
    reasoning: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether the reply ended at the limit of its length."""
        return self.finish_reason == "length"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why there is no usable reply, as a slug and in words; `dollars` is what it cost all the same.

    The reason `budget` means that the request was not asked, and will be by a run that has money.
    """

    reason: Reason
    detail: str
    attempts: int = 0
    dollars: float | None = None
    time: float = 0.0


class Outcome(NamedTuple):
    """A request's key and what became of it."""

    key: str
    result: Reply | Failure


def no_answer(failure: Failure, *, place: str) -> DataError:
    """The error that a failure is to a caller who needs an answer."""
    return DataError(
        f"no-answer-{failure.reason}",
        value=failure.detail,
        place=place,
        expected="an answer of the language model",
        mend="See the reason; a failure that the journal keeps can be forgotten and asked again.",
    )
