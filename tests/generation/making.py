"""What the tests of generation are made from: requests, pairs, scripted connections."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

from PIL import Image

from vlreward.generation.client import Connection
from vlreward.generation.config import EndpointConfig
from vlreward.generation.journal import ReplyJournal
from vlreward.generation.requests import ChatRequest, make_request
from vlreward.generation.scripted import Script, ScriptedEndpoint
from vlreward.generation.virtual_time import VirtualTimeLoop
from vlreward.pictures import admit
from vlreward.records import Message, Picture, PreferencePair, Prompt, Response

PRICES = {"dollars_per_million_input_tokens": 2.0, "dollars_per_million_output_tokens": 8.0}
DOLLARS_PER_REPLY = (100 * 2.0 + 20 * 8.0) / 1e6
"""What a scripted reply of 100 tokens in and 20 out costs."""


def endpoint(**settings: object) -> EndpointConfig:
    return EndpointConfig(
        **{"base_url": "http://127.0.0.1:9/v1", "model": "scripted", **PRICES, **settings}  # type: ignore[arg-type]
    )


def connect(
    script: Script | ScriptedEndpoint, journal: ReplyJournal, **settings: object
) -> Connection:
    """A connection to a scripted endpoint in virtual time; settings of the endpoint may be mixed
    with those of the connection.
    """
    scripted = script if isinstance(script, ScriptedEndpoint) else ScriptedEndpoint(script)
    names = ("budget", "api_key", "clock", "needs_replies", "tell")
    own = {name: settings.pop(name) for name in names if name in settings}
    return Connection(
        endpoint=endpoint(**settings),
        journal=journal,
        rng=random.Random(7),
        transport=scripted.transport,
        new_loop=VirtualTimeLoop,
        **own,  # type: ignore[arg-type]
    )


def request(text: str = "What is it?", **settings: object) -> ChatRequest:
    return make_request(
        (user(text),),
        endpoint=endpoint(),
        **{"kind": "test", **settings},  # type: ignore[arg-type]
    )


def user(*content: str | Picture) -> Message:
    return Message(role="user", content=content)


def prompt(*content: str | Picture) -> Prompt:
    return Prompt(messages=(user(*content),))


def pair(question: str = "Which?", chosen: str = "Left.", rejected: str = "Right."):
    return PreferencePair(
        prompt=prompt(question),
        chosen=Response(content=(chosen,)),
        rejected=Response(content=(rejected,)),
    )


def picture(width: int = 8, height: int = 6, *, form: str = "PNG", **options: object) -> Picture:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, form, **options)
    return admit(out.getvalue())


def verdict(better: object = "first", confidence: object = 0.8, reason: object = "clearer") -> str:
    return json.dumps({"reason": reason, "better": better, "confidence": confidence})


def journal_at(folder: Path) -> ReplyJournal:
    return ReplyJournal(folder / "replies.sqlite")
