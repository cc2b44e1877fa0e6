"""Prompts as text files with places to fill, where no content can pass for another part.

A place is written `{{name}}`. The whole text is filled in one pass, so that braces inside a
content stay what they are. Contents by others stand between fences with a mark that is computed
from all of them, so that none can hold it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from vlreward.errors import ConfigError
from vlreward.generation.requests import joined
from vlreward.records import Message, Part, Picture, Prompt

PromptName = Literal[
    "judge-pair",
    "judge-overall",
    "judge-brackets",
    "judge-rating",
    "describe",
    "reason-direct",
    "reason-from-description",
    "regenerate",
    "field-of-study",
]

_PLACES: Mapping[str, tuple[str, ...]] = {
    "judge-pair": ("conversation", "first", "second"),
    "judge-overall": ("conversation", "first", "second"),
    "judge-brackets": ("conversation", "first", "second"),
    "judge-rating": ("conversation", "answer"),
    "describe": ("conversation",),
    "reason-direct": ("conversation",),
    "reason-from-description": ("conversation", "description"),
    "regenerate": ("conversation", "answer"),
    "field-of-study": ("conversation", "fields"),
}
_TRUSTED = ("fields", "mark")
"""Places for our own words; the mark is that of the fences and may be left out."""
_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_MARK_LENGTH = 16

Content = tuple[Part, ...]
"""Text and pictures of somebody else, in reading order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A prompt's text, all of whose places are known; make one with `load_template`."""

    name: PromptName
    text: str

    def fill(self, **contents: str | Content) -> tuple[Message, ...]:
        """The prompt as one message of the user, every place filled.

        A text fills its place as it is, and must be ours; a tuple is fenced.
        """
        assert set(contents) == set(_PLACES[self.name]), "exactly the prompt's places"
        assert all(isinstance(value, tuple) or name in _TRUSTED for name, value in contents.items())
        mark = _mark(contents)
        parts: list[Part] = []
        for index, piece in enumerate(_PLACE.split(self.text)):
            is_place = index % 2 == 1
            value = {"mark": mark, **contents}[piece.strip()] if is_place else piece
            parts += [value] if isinstance(value, str) else _fenced(piece.strip(), value, mark=mark)
        return (Message(role="user", content=tuple(joined(tuple(parts)))),)


def load_template(name: PromptName, *, path: Path | None = None) -> Template:
    """The packaged prompt, or a user's own file in its stead.

    Raises ConfigError if the file cannot be read or lacks a place, or names one that is not there.
    """
    if path is None:
        return _packaged(name)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "prompt-not-read",
            value=str(error),
            place=str(path),
            expected="a text file in UTF-8",
            mend="Check the path and the file.",
        ) from error
    _check_places(name, text, path=path)
    return Template(name=name, text=text)


@cache
def _packaged(name: PromptName) -> Template:
    source = files("vlreward.generation") / "prompts" / f"{name}.md"
    return Template(name=name, text=source.read_text(encoding="utf-8").strip())


def conversation_of(prompt: Prompt, *, pictures_as_text: bool = False) -> Content:
    """A prompt as one content: a single question as it is, several turns each with its speaker.

    With `pictures_as_text` each picture becomes `[picture 1]` and so on.
    """
    is_single = len(prompt.messages) == 1
    parts: list[Part] = []
    num_pictures = 0
    for message in prompt.messages:
        if not is_single:
            parts.append(f"{message.role.capitalize()}: ")
        for part in message.content:
            num_pictures += isinstance(part, Picture)
            is_replaced = pictures_as_text and isinstance(part, Picture)
            parts.append(f"[picture {num_pictures}]" if is_replaced else part)
        if not is_single:
            parts.append("\n\n")
    return tuple(joined(tuple(parts)))


def _check_places(name: PromptName, text: str, *, path: Path) -> None:
    needed = set(_PLACES[name])
    found = {place.strip() for place in _PLACE.findall(text)}
    wrong = sorted(found - needed - {"mark"})
    missing = sorted(needed - found)
    if wrong or missing:
        said = [f"no {{{{{place}}}}}" for place in missing]
        said += [f"an unknown {{{{{place}}}}}" for place in wrong]
        raise ConfigError(
            "prompt-places",
            value=", ".join(said),
            place=str(path),
            expected="each of " + ", ".join(f"{{{{{place}}}}}" for place in sorted(needed)),
            mend="Write the missing places into the file and take the unknown ones out.",
        )


def _mark(contents: Mapping[str, str | Content]) -> str:
    """A word that none of the contents can hold, as it changes with them; equal for equal ones."""
    spelled = {
        name: value if isinstance(value, str) else [_spelled(part) for part in joined(value)]
        for name, value in contents.items()
    }
    text = json.dumps(spelled, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_LENGTH]


def _spelled(part: Part) -> str | dict[str, str]:
    return {"picture": part.sha256} if isinstance(part, Picture) else part


def _fenced(name: str, content: Content, *, mark: str) -> list[Part]:
    harmless = [_harmless(part) if isinstance(part, str) else part for part in joined(content)]
    return [f"<<<{name} {mark}>>>\n", *harmless, f"\n<<<end of {name} {mark}>>>"]


def _harmless(text: str) -> str:
    """The text with control tokens like <|im_end|> broken: some servers would obey them."""
    return text.replace("<|", "<\u200b|")
