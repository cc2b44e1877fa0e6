"""The wordings of a verdict: how a judge is asked for it, and how its reply is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlreward.evaluation.scorers.config import ReplyForm
from vlreward.generation.requests import JsonSchema
from vlreward.generation.templates import PromptName, Template, conversation_of, load_template
from vlreward.generation.verdicts import PAIR_SCHEMA, Better, read_verdict
from vlreward.records import Message, Prompt, Response

_CONCLUSION = re.compile(r"overall judgment|therefore", re.IGNORECASE)
_BETTER_ANSWER = re.compile(r"answer\s*([12])\s*is\b(?:(?!answer)[^.])*?\bbetter", re.IGNORECASE)
_BRACKETS = re.compile(r"\[\[([ABC])\]\]")
_OF_LETTER: Mapping[str, Better] = {"A": "first", "B": "second", "C": "equal"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictForm:
    """A wording: its prompt, the schema where it is JSON, and how the better answer is read.

    `read` gives None for a reply without a verdict. With `pictures_last` the prompt's pictures
    come after all text, with numbers in their places.
    """

    prompt: PromptName
    read: Callable[[str], Better | None]
    json_schema: JsonSchema | None = None
    pictures_last: bool = False

    def ask(
        self, prompt: Prompt, first: Response, second: Response, *, template: Template
    ) -> tuple[Message, ...]:
        """The question which of the two is better, in this order."""
        conversation = conversation_of(prompt, pictures_as_text=self.pictures_last)
        (message,) = template.fill(
            conversation=conversation, first=first.content, second=second.content
        )
        more = prompt.pictures if self.pictures_last else ()
        return (Message(role="user", content=(*message.content, *more)),)

    def load_template(self, path: Path | None) -> Template:
        """The form's own prompt, or a user's; raises ConfigError if that is none."""
        return load_template(self.prompt, path=path)


def read_json(text: str) -> Better | None:
    """The verdict that is the reply's last JSON object."""
    verdict = read_verdict(text)
    return None if verdict is None else verdict.better


def read_overall(text: str) -> Better | None:
    """The last `Answer N is … better` behind `Overall Judgment` or `Therefore`.

    As VL-RewardBench's own script: without line breaks and `*`, in any case.
    """
    plain = text.replace("\n", " ").replace("*", "")
    conclusion = _CONCLUSION.search(plain)
    found = _BETTER_ANSWER.findall(plain, conclusion.end()) if conclusion else []
    return None if not found else "first" if found[-1] == "1" else "second"


def read_brackets(text: str) -> Better | None:
    """The last `[[A]]`, `[[B]]` or, for no difference, `[[C]]` (RewardBench's generative form)."""
    found = _BRACKETS.findall(text)
    return _OF_LETTER[found[-1]] if found else None


FORMS: Mapping[ReplyForm, VerdictForm] = {
    "json": VerdictForm(prompt="judge-pair", read=read_json, json_schema=PAIR_SCHEMA),
    "overall-judgment": VerdictForm(prompt="judge-overall", read=read_overall, pictures_last=True),
    "brackets": VerdictForm(prompt="judge-brackets", read=read_brackets),
}
