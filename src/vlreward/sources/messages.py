"""Conversations in rows: roles under their many names, answers, and prompts that two share."""

from __future__ import annotations

from itertools import takewhile

from vlreward.errors import DataError
from vlreward.records import Role
from vlreward.sources import fields
from vlreward.sources.content import Draft, DraftContent, DraftMessage, parse_content
from vlreward.sources.fields import Row

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "observation": "user",
    "tool": "user",
    "tool_response": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
}


def parse_conversation(
    value: object, *, field: str, literal: bool = False
) -> tuple[DraftMessage, ...]:
    """A list of messages; text, or a list of content parts, is one message of the user.

    Messages are {role, content} or {from, value}. Tool calls count as the assistant's turn and
    their results as the user's.
    """
    if isinstance(value, str) or _is_parts(value):
        content = parse_content(value, field=field, literal=literal)
        return (DraftMessage(role="user", content=content),)
    return tuple(
        _parse_message(item, field=f"{field}[{index}]", literal=literal)
        for index, item in enumerate(fields.items(value, field=field))
    )


def parse_answer(value: object, *, field: str, literal: bool = False) -> DraftContent:
    """An answer: text, a list of content parts, or one message of the assistant."""
    if isinstance(value, str) or _is_parts(value):
        return parse_content(value, field=field, literal=literal)
    if fields.is_row(value):
        return answer_of((_parse_message(value, field=field, literal=literal),), field=field)
    return answer_of(parse_conversation(value, field=field, literal=literal), field=field)


def answer_of(messages: tuple[DraftMessage, ...], *, field: str) -> DraftContent:
    """The content of the assistant's single message; refuses anything else."""
    if len(messages) != 1 or messages[0].role != "assistant":
        roles = ", ".join(message.role for message in messages) or "nothing"
        raise DataError(
            "answer-not-one-message",
            value=f"the turns: {roles}",
            place=field,
            expected="one message of the assistant",
            mend="Put earlier turns into the prompt; drop rows whose answers take several turns.",
        )
    return messages[0].content


def split_shared(
    chosen: tuple[DraftMessage, ...],
    rejected: tuple[DraftMessage, ...],
    *,
    names: tuple[str, str] = ("chosen", "rejected"),
) -> tuple[tuple[DraftMessage, ...], tuple[DraftContent, DraftContent]]:
    """The longest prompt that two conversations share, and the answers that each ends with.

    Raises DataError if they part before their last message: then they answer different prompts.
    """
    equal = takewhile(lambda both: both[0] == both[1], zip(chosen, rejected, strict=False))
    num_shared = min(sum(1 for _ in equal), max(len(chosen) - 1, 0), max(len(rejected) - 1, 0))
    if len(chosen) == len(rejected) == num_shared + 1:
        answers = (
            answer_of(chosen[num_shared:], field=names[0]),
            answer_of(rejected[num_shared:], field=names[1]),
        )
        return chosen[:num_shared], answers
    raise DataError(
        "conversations-diverge",
        value=f"{len(chosen)} and {len(rejected)} messages of which the first {num_shared} agree",
        place=f"{names[0]}, {names[1]}",
        expected="two conversations that differ in their last message alone",
        mend="Cut both after the first answer that differs, or drop the row.",
    )


def with_system(draft: Draft, row: Row) -> tuple[DraftMessage, ...]:
    """The draft's prompt with the row's field `system` before it, where that has text."""
    text = row.get("system")
    if text is None or text == "":
        return draft.prompt
    content: DraftContent = (fields.text(text, field="system"),)
    system = DraftMessage(role="system", content=content)
    if not draft.prompt or draft.prompt[0].role != "system":
        return (system, *draft.prompt)
    if draft.prompt[0] == system:
        return draft.prompt
    raise DataError(
        "system-twice",
        value="a field 'system' and another system message",
        place="system",
        expected="one system message",
        mend="Keep the one that the answers were written under.",
    )


def _parse_message(value: object, *, field: str, literal: bool) -> DraftMessage:
    if not fields.is_row(value):
        raise fields.wrong_type(value, field=field, expected="a message {role, content}")
    names = ("from", "value") if "from" in value or "value" in value else ("role", "content")
    try:
        fields.check_modalities(value)
        role = fields.text(fields.required(value, names[0]), field=names[0])
        content = fields.required(value, names[1])
    except DataError as error:
        raise error.at(field) from error
    if role not in _ROLES:
        raise DataError(
            "role-unknown",
            value=fields.describe(role),
            place=f"{field}.{names[0]}",
            expected=f"one of {', '.join(_ROLES)}",
            mend="Rename the role.",
        )
    parsed = parse_content(content, field=f"{field}.{names[1]}", literal=literal)
    return DraftMessage(role=_ROLES[role], content=parsed)


def _is_parts(value: object) -> bool:
    if not isinstance(value, (list, tuple)) or not value:
        return False
    first = value[0]
    return isinstance(first, str) or (fields.is_row(first) and first.get("type") is not None)
