"""What tests of the stand-in endpoint share: a small world, requests about it, a plain client."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from functools import cache
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from vlreward.records import Picture, Response
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.preferences import WorldPair, make_pairs, make_text_pairs

TEMPLATE = "Which answer is better?\n\n{question}\n\nAnswer 1: {first}\n\nAnswer 2: {second}\n"


@cache
def pairs() -> tuple[WorldPair, ...]:
    return (
        *make_pairs(num_pictures=200, seed=0, split="train"),
        *make_text_pairs(num_pairs=60, seed=0, split="train"),
    )


@cache
def truth() -> WorldTruth:
    return WorldTruth(pairs())


def question(one: WorldPair) -> str:
    text = one.pair.prompt.messages[0].content[-1]
    assert isinstance(text, str)
    return text


def request(model: str, text: str, pictures: Iterable[Picture] = (), **more: object) -> Any:
    """A request's body, its pictures as data URIs."""
    parts: list[object] = [
        {
            "type": "image_url",
            "image_url": {
                "url": f"data:image/png;base64,{base64.b64encode(picture.data or b'').decode()}"
            },
        }
        for picture in pictures
    ]
    content = [*parts, {"type": "text", "text": text}]
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def comparison(
    one: WorldPair,
    first: Response | str,
    second: Response | str,
    *,
    template: str = TEMPLATE,
    **more: object,
) -> Any:
    """A judge's request about the pair's prompt and two answers; the reply is to be JSON."""
    texts = [said if isinstance(said, str) else said.text for said in (first, second)]
    text = template.format(question=question(one), first=texts[0], second=texts[1])
    more = {"response_format": {"type": "json_object"}, **more}
    return request("world-judge", text, one.pair.prompt.pictures, **more)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def content(self) -> str:
        content = self.body["choices"][0]["message"]["content"]
        assert isinstance(content, str)
        return content


class Client:
    """One connection that is kept alive."""

    def __init__(self, endpoint: WorldEndpoint, *, timeout_seconds: float = 20.0) -> None:
        address = urlsplit(endpoint.base_url)
        assert address.hostname is not None
        self.connection = HTTPConnection(address.hostname, address.port, timeout=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def send(self, method: str, path: str, content: bytes | None = None, **headers: str) -> Answer:
        self.connection.request(method, path, body=content, headers=headers)
        reply = self.connection.getresponse()
        return Answer(reply.status, dict(reply.getheaders()), json.loads(reply.read()))

    def ask(self, body: object) -> Answer:
        return self.send("POST", "/v1/chat/completions", json.dumps(body).encode())
