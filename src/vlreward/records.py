"""The nouns: pictures, prompts, responses, preference pairs and scores, with their algebra.

All of them are values: frozen, compared by content, safe to share between threads. A picture is
known by the sha-256 of its file's bytes; where those bytes lie does not count for equality.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from vlreward.errors import DataError

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An admitted picture: its content hash, its size as seen, and where its bytes lie.

    `width` and `height` are in pixels after EXIF rotation. Exactly one of `path` and `data` is
    set. Make one with `vlreward.pictures.admit`.
    """

    sha256: str
    width: int = field(compare=False)
    height: int = field(compare=False)
    path: Path | None = field(default=None, compare=False)
    data: bytes | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        assert (self.path is None) != (self.data is None), "a picture has a path or data, not both"


Part = str | Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn: a role and its content in reading order, text and pictures interleaved."""

    role: Role
    content: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a response answers: one or more messages, the last one not the assistant's.

    Raises DataError where they are not.
    """

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        if not self.messages or self.messages[-1].role == "assistant":
            raise DataError(
                "prompt-ends-with-assistant",
                value="the assistant's turn" if self.messages else "no message",
                place="prompt",
                expected="a prompt whose last turn is not the assistant's",
                mend="Move the assistant's last turn into the responses, or drop the row.",
            )

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures in reading order, repeats included."""
        return tuple(part for message in self.messages for part in _pictures(message.content))

    @property
    def id(self) -> str:
        """Content hash (32 hex digits)."""
        return _hash(_turns(self))

    def with_pictures(self, pictures: Sequence[Picture]) -> Prompt:
        """The same words with other pictures, as many as there are, in reading order."""
        source = iter(pictures)
        messages = tuple(
            replace(
                message,
                content=tuple(
                    next(source) if isinstance(part, Picture) else part for part in message.content
                ),
            )
            for message in self.messages
        )
        return Prompt(messages=messages)


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """An answer: text, pictures or both; `model` names who wrote it, where that is known."""

    content: tuple[Part, ...]
    model: str | None = field(default=None, compare=False)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The response's own pictures in reading order."""
        return tuple(_pictures(self.content))

    @property
    def text(self) -> str:
        """The words alone, pictures left out."""
        return "".join(part for part in self.content if isinstance(part, str))


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstration:
    """A prompt with an answer to learn from."""

    prompt: Prompt
    response: Response

    @property
    def id(self) -> str:
        """Content hash (32 hex digits) of prompt and response."""
        return _hash([_turns(self.prompt), _canonical(self.response.content)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgment:
    """Who preferred the chosen response, and how surely.

    `kind` says what made the label (a person, a model, verified correctness, a template).
    `confidence` is the probability that the label is right, `margin` the judge's difference of
    scores; either may be unknown.
    """

    kind: str = "unknown"
    judge: str | None = None
    confidence: float | None = None
    margin: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a pair came from: data set, its own id there, task, split, and file and line."""

    source: str
    row_id: str | None = None
    task: str | None = None
    split: str | None = None
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """One comparison: of two responses to a prompt, `chosen` is the better one."""

    prompt: Prompt
    chosen: Response
    rejected: Response
    judgment: Judgment = field(default_factory=Judgment, compare=False)
    origin: Origin = field(default_factory=lambda: Origin(source="unknown"), compare=False)

    @property
    def id(self) -> str:
        """Content hash (32 hex digits) of prompt, chosen and rejected; the origin has no part."""
        answers = [_canonical(one.content) for one in (self.chosen, self.rejected)]
        return _hash([_turns(self.prompt), *answers])

    @property
    def has_pictures(self) -> bool:
        """Whether the prompt or either response holds a picture."""
        return any(True for _ in self.pictures)

    @property
    def pictures(self) -> Iterator[Picture]:
        """Every picture: the prompt's, then the chosen one's, then the rejected one's."""
        yield from self.prompt.pictures
        yield from self.chosen.pictures
        yield from self.rejected.pictures

    def swapped(self) -> PreferencePair:
        """The opposite preference; a known margin changes its sign."""
        margin = None if self.judgment.margin is None else -self.judgment.margin
        return replace(
            self,
            chosen=self.rejected,
            rejected=self.chosen,
            judgment=replace(self.judgment, margin=margin),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A reward of one response, on the scale of the model that gave it.

    `num_tokens` counts prompt and response; `truncated_tokens` how many of the response's tokens
    did not fit the limit and were not read. `dollars` is what it cost, where a model behind an API
    gave it for a known price.
    """

    value: float
    num_tokens: int
    truncated_tokens: int = 0
    dollars: float | None = None


def same_content(one: Response, other: Response) -> bool:
    """Whether two responses say and show the same, however their text is cut into parts."""
    return _canonical(one.content) == _canonical(other.content)


def _pictures(content: tuple[Part, ...]) -> Iterator[Picture]:
    return (part for part in content if isinstance(part, Picture))


def _hash(body: list[object]) -> str:
    text = json.dumps(body, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _turns(prompt: Prompt) -> list[object]:
    return [[message.role, _canonical(message.content)] for message in prompt.messages]


def _canonical(content: tuple[Part, ...]) -> list[str | dict[str, str]]:
    """Content with neighbouring texts joined and pictures by hash: equal content, equal form."""
    out: list[str | dict[str, str]] = []
    for part in content:
        if isinstance(part, Picture):
            out.append({"picture": part.sha256})
        elif out and isinstance(out[-1], str):
            out[-1] += part
        elif part:
            out.append(part)
    return out
