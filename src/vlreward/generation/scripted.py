"""A chat endpoint that follows a script: it replies, fails, hangs and tears as told, in-process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from vlreward.extras import import_extra

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, kw_only=True, slots=True)
class Says:
    """A completion, after some seconds; no tokens stand for an endpoint that does not count."""

    text: str | None
    seconds: float = 0.05
    finish_reason: str = "stop"
    refusal: str | None = None
    reasoning: str | None = None
    model: str | None = None
    input_tokens: int | None = 100
    output_tokens: int | None = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Fails:
    """An error status with a message in the body."""

    status: int
    message: str = "as the script says"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hangs:
    """No answer, ever."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tears:
    """Status 200 with these bytes for a body."""

    body: bytes = b'{"choices": [{"message": {"content": "It is a sq'


@dataclass(frozen=True, kw_only=True, slots=True)
class Drops:
    """A connection that breaks: before the request was sent, or after."""

    sent: bool


Act = Says | Fails | Hangs | Tears | Drops


class Call(NamedTuple):
    """A request as it came: `nth` counts equal ones from 0; `headers` have names in lower case."""

    body: dict[str, Any]
    headers: dict[str, str]
    nth: int
    time: float

    @property
    def text(self) -> str:
        """All text of all messages."""
        contents = [message["content"] for message in self.body["messages"]]
        parts = [
            part
            for content in contents
            for part in ([content] if isinstance(content, str) else content)
        ]
        return "\n".join(part if isinstance(part, str) else part.get("text", "") for part in parts)


Script = Callable[[Call], Act]


class ScriptedEndpoint:
    """Answers every call as `script` says; give its `transport` to a connection.

    It keeps the `calls` in order of arrival, and counts those it has not answered yet.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._httpx = import_extra("httpx2", extra="curate")
        self._num_seen: dict[bytes, int] = {}
        self.calls: list[Call] = []
        self.num_in_flight = 0
        self.most_in_flight = 0

    @property
    def transport(self) -> httpx2.AsyncBaseTransport:
        """What stands for the network."""
        transport: httpx2.AsyncBaseTransport = self._httpx.MockTransport(self._handle)
        return transport

    async def _handle(self, request: Any) -> Any:
        nth = self._num_seen.get(request.content, 0)
        self._num_seen[request.content] = nth + 1
        call = Call(
            body=json.loads(request.content),
            headers=dict(request.headers),
            nth=nth,
            time=asyncio.get_running_loop().time(),
        )
        self.calls.append(call)
        self.num_in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.num_in_flight)
        try:
            return await self._act(self._script(call), call)
        finally:
            self.num_in_flight -= 1

    async def _act(self, act: Act, call: Call) -> Any:
        match act:
            case Says():
                await asyncio.sleep(act.seconds)
                return self._httpx.Response(200, json=completion(act, model=call.body["model"]))
            case Fails():
                body = {"error": {"message": act.message, "code": act.code}}
                return self._httpx.Response(act.status, headers=dict(act.headers), json=body)
            case Hangs():
                await asyncio.sleep(10.0**9)
                raise AssertionError("a caller waited for thirty years")
            case Tears():
                headers = {"content-type": "application/json"}
                return self._httpx.Response(200, headers=headers, content=act.body)
            case Drops(sent=True):
                raise self._httpx.ReadError("connection reset by peer")
            case Drops():
                raise self._httpx.ConnectError("connection refused")


def completion(says: Says, *, model: str) -> dict[str, object]:
    """The body of a chat completion as OpenAI's API gives it."""
    message: dict[str, object] = {"role": "assistant", "content": says.text}
    if says.refusal is not None:
        message["refusal"] = says.refusal
    if says.reasoning is not None:
        message["reasoning_content"] = says.reasoning
    body: dict[str, object] = {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": says.model or model,
        "choices": [{"index": 0, "message": message, "finish_reason": says.finish_reason}],
    }
    if says.input_tokens is not None and says.output_tokens is not None:
        body["usage"] = {
            "prompt_tokens": says.input_tokens,
            "completion_tokens": says.output_tokens,
            "total_tokens": says.input_tokens + says.output_tokens,
        }
    return body
