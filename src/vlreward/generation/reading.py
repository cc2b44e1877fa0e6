"""What a model's reply is read as: its last JSON object, strictly, and its thinking apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from vlreward.generation.client import Connection, ask
from vlreward.generation.outcomes import Failure, Reason, Reply
from vlreward.generation.requests import ChatRequest
from vlreward.progress import Advance

Read = TypeVar("Read")

_THINKING_ENDS = "</think>"
_THINKING_BEGINS = "<think>"


def ask_and_read(
    requests: Sequence[ChatRequest],
    *,
    connection: Connection,
    read: Callable[[Reply], Read | None],
    unreadable: Reason,
    progress: Advance | None = None,
) -> list[Read | Failure]:
    """Asks the requests and reads every reply; in the order of the requests.

    A reply for which `read` gives None becomes a Failure with the reason `unreadable`.
    """
    results = ask(requests, connection=connection, progress=progress)
    out: list[Read | Failure] = []
    for request in requests:
        result = results[request.key]
        if isinstance(result, Reply):
            value = read(result)
            out.append(_unreadable(result, unreadable) if value is None else value)
        else:
            out.append(result)
    return out


def last_object(text: str) -> dict[str, object] | None:
    """The last well-formed JSON object that stands in the text and in no other object.

    Keys given twice, NaN and infinity are not well-formed. It must stand after a model's thinking,
    if there is any; what looks like thinking's end inside the object is something quoted.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_no_doubles, parse_constant=_refuse)
    found: dict[str, object] | None = None
    start, end, position = 0, 0, text.find("{")
    while position >= 0:
        try:
            found, after = decoder.raw_decode(text, position)
            start, end = position, after
        except (ValueError, RecursionError):
            after = position + 1
        position = text.find("{", after)
    is_thought = _THINKING_ENDS in text[end:] or without_thinking(text[:start]) is None
    return None if is_thought else found


def without_thinking(text: str) -> str | None:
    """The text after a model's thinking; None if the thinking has no end."""
    if _THINKING_ENDS in text:
        return text.rpartition(_THINKING_ENDS)[2].strip()
    return None if text.lstrip().startswith(_THINKING_BEGINS) else text.strip()


def with_thinking(reply: Reply) -> str:
    """The reply's text with its thinking in front, wherever the endpoint put it."""
    if reply.reasoning and _THINKING_ENDS not in reply.text:
        return f"{_THINKING_BEGINS}\n{reply.reasoning.strip()}\n{_THINKING_ENDS}\n\n{reply.text}"
    return reply.text


def _unreadable(reply: Reply, reason: Reason) -> Failure:
    return Failure(
        reason=reason, detail=reply.text[-200:], attempts=reply.attempts, time=reply.time
    )


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key is given twice")
    return out


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
