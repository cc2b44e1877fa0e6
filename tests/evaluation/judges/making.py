"""What the tests of judges are made from: comparisons, and scripts that look at what they see."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from tests.generation.making import prompt, verdict
from tests.support.families import write_family
from vlreward.evaluation.scorers.protocols import Duel
from vlreward.generation.scripted import Call, Says
from vlreward.records import Response

TOKENS_PER_TILE = 4

WORDINGS = {
    "json": {"first": verdict("first"), "second": verdict("second")},
    "overall-judgment": {
        "first": "Overall Judgment: Answer 1 is better.",
        "second": "Overall Judgment: Answer 2 is better.",
    },
    "brackets": {"first": "[[A]]", "second": "[[B]]"},
}


def duel(first: str = "Left.", second: str = "Right.", *, question: object = "Which?") -> Duel:
    asked = question if isinstance(question, tuple) else (question,)
    return prompt(*asked), Response(content=(first,)), Response(content=(second,))


def shown(call: Call, name: str) -> str:
    """What the judge was shown in a block."""
    pattern = rf"<<<{name} (\w{{16}})>>>\n(.*)\n<<<end of {name} \1>>>"
    return re.findall(pattern, call.text, re.DOTALL)[-1][1]


def prefers(text: str, *, form: str = "json"):
    """A judge who finds the answer that holds this text better, wherever it stands."""

    def script(call: Call) -> Says:
        return Says(text=WORDINGS[form]["first" if text in shown(call, "first") else "second"])

    return script


def seen_hashes(call: Call) -> list[str]:
    """The sha-256 of every picture that arrived, in order."""
    return [
        hashlib.sha256(base64.b64decode(part["image_url"]["url"].partition(",")[2])).hexdigest()
        for message in call.body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def write_internvl(folder: Path) -> Path:
    """A random InternVL3 with the packaged tokenizer and its own picture tokens."""
    return write_family(folder, "internvl")
