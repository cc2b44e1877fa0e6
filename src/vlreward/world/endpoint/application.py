"""From a request's method, path and body to a reply: everything but sockets."""

from __future__ import annotations

import hmac
from dataclasses import asdict, dataclass, field, fields
from random import Random

from vlreward.world.answers import refuse
from vlreward.world.endpoint.bill import Bill, Cashier, Outcome
from vlreward.world.endpoint.config import FaultRates, WorldEndpointConfig
from vlreward.world.endpoint.draws import draw
from vlreward.world.endpoint.protocol import (
    ChatRequest,
    Completion,
    KeyRefusedError,
    RequestError,
    TooLargeError,
    UnknownError,
    complete,
    dump,
    error_body,
    model_list,
    parse_chat,
    refuse_completion,
)
from vlreward.world.endpoint.roles import reply
from vlreward.world.endpoint.truth import WorldTruth

_PASSING = tuple(one.name for one in fields(FaultRates) if one.name != "refusal")
"""Faults that another attempt may escape."""
_SERVER_ERRORS = {
    500: "The server had an error while processing your request.",
    502: "Bad gateway.",
    503: "The engine is overloaded, please try again later.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What is sent back."""

    status: int
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    num_sent: int | None = None
    """Only so many bytes of the content are sent, then the connection ends."""


class Application:
    """Answers requests, in many threads at once."""

    def __init__(self, truth: WorldTruth, config: WorldEndpointConfig) -> None:
        self.config = config
        self._truth = truth
        self._cashier = Cashier(config)

    @property
    def bill(self) -> Bill:
        """Everything charged so far."""
        return self._cashier.bill

    def respond(
        self, method: str, path: str, content: bytes, *, authorization: str | None
    ) -> Reply | None:
        """The reply to a request; None where it hangs."""
        try:
            self._check_key(authorization)
            match method, path.partition("?")[0]:
                case "POST", "/v1/chat/completions":
                    return self._complete(parse_chat(content))
                case "GET", "/v1/models":
                    return Reply(status=200, content=model_list())
                case "GET", "/bill":
                    return Reply(status=200, content=dump(asdict(self.bill)))
            raise UnknownError(
                "unknown-path",
                value=f"{method} {path}",
                place="path",
                expected="POST /v1/chat/completions, GET /v1/models or GET /bill",
                mend="Change the base URL, which ends in /v1.",
            )
        except RequestError as error:
            return refused(error)

    def check_size(self, num_bytes: int) -> None:
        """Raises TooLargeError for a body over the limit."""
        limit = self.config.max_body_bytes
        if num_bytes > limit:
            raise TooLargeError(
                "too-large",
                value=f"{num_bytes} bytes",
                place="body",
                expected=f"at most {limit} bytes",
                mend="Send smaller pictures.",
            )

    def _check_key(self, authorization: str | None) -> None:
        key = self.config.api_key
        given = (authorization or "").encode(errors="replace")
        if key is not None and not hmac.compare_digest(given, f"Bearer {key}".encode()):
            raise KeyRefusedError(
                "invalid_api_key",
                value="a wrong key" if authorization else "no key",
                place="Authorization",
                expected="Bearer and the endpoint's key",
                mend="Send the key.",
            )

    def _complete(self, request: ChatRequest) -> Reply | None:
        texts = reply(request, self._truth, self.config)
        attempt = self._cashier.arrive(request)
        rng = draw(self.config.error_seed, "fault", request.digest, attempt)
        match _draw_passing_fault(self.config.faults, rng):
            case "rate_limit":
                return self._limited()
            case "server_error":
                return _failed(rng)
            case "hang":
                return None
            case "torn":
                return self._paid(request, complete(request, texts), tear=rng)
        return self._paid(request, self._refused(request) or complete(request, texts))

    def _refused(self, request: ChatRequest) -> Completion | None:
        """A refusal, where the request meets one: at every attempt that nothing else befalls."""
        rates = self.config.faults
        passing = sum(getattr(rates, name) for name in _PASSING)
        rng = draw(self.config.error_seed, "refusal", request.digest)
        if rng.random() * (1 - passing) >= rates.refusal:
            return None
        said = refuse(rng.getrandbits(16)) if rng.random() < 0.5 else None
        return refuse_completion(request, said)

    def _limited(self) -> Reply:
        message = "Rate limit reached. Please try again later."
        return Reply(
            status=429,
            content=error_body(message, code="rate_limit_exceeded", kind="requests"),
            headers={"Retry-After": f"{self.config.retry_after_seconds:g}"},
        )

    def _paid(
        self, request: ChatRequest, completion: Completion, *, tear: Random | None = None
    ) -> Reply:
        """The reply, charged; torn somewhere in its middle half, honestly or not, if asked for."""
        outcome: Outcome = "answered" if tear is None else "torn"
        self._cashier.charge(request, completion, outcome=outcome)
        content = completion.content
        if tear is None:
            return Reply(status=200, content=content)
        num_sent = round(len(content) * tear.uniform(0.25, 0.75))
        if tear.random() < 0.5:
            return Reply(status=200, content=content[:num_sent])
        return Reply(status=200, content=content, num_sent=num_sent)


def refused(error: RequestError) -> Reply:
    """The reply to a request that was refused."""
    content = error_body(str(error), code=error.code, place=error.place)
    return Reply(status=error.status, content=content)


def _failed(rng: Random) -> Reply:
    status, message = rng.choice(sorted(_SERVER_ERRORS.items()))
    return Reply(status=status, content=error_body(message, code=str(status), kind="server_error"))


def _draw_passing_fault(rates: FaultRates, rng: Random) -> str | None:
    """The name of a rate, each as often as it says; None for no fault."""
    place = rng.random()
    for name in _PASSING:
        place -= getattr(rates, name)
        if place < 0:
            return name
    return None
