"""What a language model says of one row: how good an answer is, which field a question is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlreward.generation.client import Connection
from vlreward.generation.outcomes import Failure
from vlreward.generation.reading import ask_and_read, last_object
from vlreward.generation.requests import ChatRequest, make_request
from vlreward.generation.templates import conversation_of, load_template
from vlreward.progress import Advance
from vlreward.records import Prompt

FIELDS = ("mathematics", "physics", "biology", "chemistry", "other")
_LOWEST, _HIGHEST = 1, 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """How good an answer is, from 1 to 10, and why."""

    value: int
    reason: str


def read_rating(text: str) -> Rating | None:
    """The rating in the text's last JSON object; what else that holds does not matter."""
    found = last_object(text)
    if found is None:
        return None
    value, reason = found.get("rating"), found.get("reason", "")
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    said = reason if isinstance(reason, str) else ""
    return Rating(value=value, reason=said) if _LOWEST <= value <= _HIGHEST else None


def name_fields(
    prompts: Sequence[Prompt],
    *,
    connection: Connection,
    fields: Sequence[str] = FIELDS,
    progress: Advance | None = None,
) -> list[str | Failure]:
    """The field of study, one of `fields`, that each question is of, in their order."""
    requests = field_requests(prompts, connection=connection, fields=fields)
    return ask_and_read(
        requests,
        connection=connection,
        read=lambda reply: read_field(reply.text, fields=fields),
        unreadable="field-unreadable",
        progress=progress,
    )


def field_requests(
    prompts: Sequence[Prompt],
    *,
    connection: Connection,
    fields: Sequence[str] = FIELDS,
) -> list[ChatRequest]:
    """What `name_fields` asks, one request a prompt."""
    template = load_template("field-of-study")
    schema = _schema(field={"type": "string", "enum": list(fields)})
    return [
        make_request(
            template.fill(conversation=conversation_of(prompt), fields=", ".join(fields)),
            endpoint=connection.endpoint,
            kind="field-of-study",
            json_schema=schema,
        )
        for prompt in prompts
    ]


def read_field(text: str, *, fields: Sequence[str]) -> str | None:
    """The field that the text's last JSON object names: exactly reason and field."""
    found = last_object(text)
    if found is None or set(found) != {"reason", "field"} or not isinstance(found["reason"], str):
        return None
    named = found["field"]
    return named if isinstance(named, str) and named in fields else None


def _schema(**answer: object) -> dict[str, object]:
    """A JSON schema for an object of a reason and the answer, reason first."""
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, **answer},
        "required": ["reason", *answer],
        "additionalProperties": False,
    }


RATING_SCHEMA = _schema(rating={"type": "integer", "minimum": _LOWEST, "maximum": _HIGHEST})
