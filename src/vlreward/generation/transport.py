"""One call to an OpenAI-compatible endpoint: a whole completion, or why there is none.

Nothing is retried here, the library's own retries are off, and the key is taken out of all that
comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, Field, ValidationError

from vlreward.errors import PictureError
from vlreward.extras import import_extra
from vlreward.generation.config import EndpointConfig
from vlreward.generation.outcomes import Reason
from vlreward.generation.pacing import retry_after_seconds
from vlreward.generation.requests import ChatRequest, to_openai_messages

if TYPE_CHECKING:
    import httpx2

_NO_KEY = "none"
"""What the library is given for an endpoint without keys, lest it takes one from elsewhere."""
_STOPPING = (401, 402, 403, 404)
_LOCKED = (401, 403)
_LOOK_SECONDS = 10.0
_NOT_TAKEN = (503, 529)
_PASSING = (408, 409, 425)
"""Refusals of the moment, not of the request: it came too slowly, at a wrong time, too early."""
_OVERLOADED = (429, 503, 529)
_FILTERED = ("content_filter", "content_policy_violation")
_LONGEST_DETAIL = 500
_SHORTEST_KEY = 8
"""Anything shorter is no secret, and taking it out could spoil a reply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What came back whole; tokens are None where the endpoint did not count them."""

    text: str
    refusal: str
    reasoning: str
    finish_reason: str
    model: str
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Setback:
    """Why a call brought no completion.

    `is_final` where it would fail again; `maybe_billed` where it may have cost something all the
    same; `is_overload` where the endpoint is asked too fast; `stops_run` where no other request
    can do better.
    """

    reason: Reason
    detail: str
    is_final: bool = False
    maybe_billed: bool = False
    is_overload: bool = False
    stops_run: bool = False
    retry_after: float | None = None


class Sender(Protocol):
    """Sends requests to one model."""

    async def send(self, request: ChatRequest) -> Completion | Setback:
        """Sends the request once."""
        ...

    async def close(self) -> None:
        """Lets go of what it holds."""
        ...


class _Answer(BaseModel):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(BaseModel):
    message: _Answer
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)


class _Body(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    model: str = ""
    usage: _Usage | None = None


class Caller:
    """A `Sender` to one endpoint; close it when done.

    `transport` stands for the network in tests; `clock` tells the time since 1970.
    """

    def __init__(
        self,
        endpoint: EndpointConfig,
        *,
        api_key: str | None,
        clock: Callable[[], float],
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._api_key = api_key or _NO_KEY
        self._clock = clock
        self._openai = import_extra("openai", extra="curate")
        self._httpx = import_extra("httpx2", extra="curate")
        client = None if transport is None else self._httpx.AsyncClient(transport=transport)
        self._client = self._openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=self._api_key,
            max_retries=0,
            timeout=endpoint.timeout_seconds,
            http_client=client,
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()

    async def send(self, request: ChatRequest) -> Completion | Setback:
        """Sends the request once; after the endpoint's timeout it is given up."""
        try:
            arguments = self._arguments(request)
        except PictureError as error:
            return Setback(reason="picture", detail=str(error), is_final=True)
        create = self._client.chat.completions.with_raw_response.create
        try:
            async with asyncio.timeout(self._endpoint.timeout_seconds):
                raw = await create(**arguments)
        except (TimeoutError, self._openai.APIConnectionError) as error:
            return self._not_answered(error)
        except self._openai.APIStatusError as error:
            return self._refused(error)
        return self._read(raw.http_response.content)

    async def find_obstacle(self) -> Setback | None:
        """Why no request can be answered, as a request without content tells; it costs nothing.

        An endpoint that is there and takes the key refuses it as malformed, or is slow about it.
        """
        look = {"timeout": min(_LOOK_SECONDS, self._endpoint.timeout_seconds)}
        try:
            await self._client.post(
                "/chat/completions", cast_to=self._httpx.Response, body={}, options=look
            )
        except self._openai.APIConnectionError as error:
            setback = self._not_answered(error)
            return None if setback.maybe_billed else setback
        except self._openai.APIStatusError as error:
            return self._refused(error) if error.status_code in _LOCKED else None
        return None

    def _arguments(self, request: ChatRequest) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": request.model,
            "messages": to_openai_messages(request.messages),
            self._endpoint.output_limit_field: request.max_output_tokens,
        }
        if request.temperature is not None:
            arguments["temperature"] = request.temperature
        if request.top_p is not None:
            arguments["top_p"] = request.top_p
        if request.json_schema is not None:
            schema = {"name": "reply", "strict": True, "schema": request.json_schema}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
        return arguments

    def _not_answered(self, error: Exception) -> Setback:
        cause = error.__cause__ or error
        never_sent = (
            self._httpx.ConnectError,
            self._httpx.ConnectTimeout,
            self._httpx.PoolTimeout,
            self._httpx.UnsupportedProtocol,
        )
        timed_out = isinstance(error, (TimeoutError, self._openai.APITimeoutError))
        seconds = self._endpoint.timeout_seconds
        said = f"no whole answer in {seconds:g} s" if timed_out else _named(cause)
        return Setback(
            reason="timeout" if timed_out else "connection",
            detail=self._shown(said),
            maybe_billed=not isinstance(cause, never_sent),
            is_overload=timed_out,
        )

    def _refused(self, error: Any) -> Setback:
        status = error.status_code
        headers = error.response.headers
        if error.code in _FILTERED:
            return Setback(reason="refusal", detail=self._shown(error.message), is_final=True)
        has_no_money = error.code == "insufficient_quota"
        reason = _reason(status)
        return Setback(
            reason=reason,
            detail=self._shown(error.message),
            is_final=reason == "rejected" or has_no_money,
            maybe_billed=status >= 500 and status not in _NOT_TAKEN,
            is_overload=status in _OVERLOADED,
            stops_run=status in _STOPPING or has_no_money,
            retry_after=retry_after_seconds(headers, now=self._clock()),
        )

    def _read(self, content: bytes) -> Completion | Setback:
        if len(self._api_key) >= _SHORTEST_KEY:
            content = content.replace(self._api_key.encode(), b"[key]")
        try:
            body = _Body.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            said = f"no completion in {len(content)} bytes: {first['msg']}"
            return Setback(reason="torn-reply", detail=self._shown(said), maybe_billed=True)
        choice = body.choices[0]
        usage = body.usage or _Usage()
        return Completion(
            text=choice.message.content or "",
            refusal=choice.message.refusal or "",
            reasoning=choice.message.reasoning_content or choice.message.reasoning or "",
            finish_reason=choice.finish_reason or "",
            model=body.model,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
        )

    def _shown(self, text: str) -> str:
        """The text shortened and without the key, which some endpoints repeat."""
        if len(self._api_key) >= _SHORTEST_KEY:
            text = text.replace(self._api_key, "[key]")
        return text[:_LONGEST_DETAIL].encode("utf-8", "replace").decode("utf-8")


def _reason(status: int) -> Reason:
    if status == 429:
        return "rate-limited"
    return "server-error" if status >= 500 or status in _PASSING else "rejected"


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
