"""Asks many requests of one endpoint: each once, within the budget, journaled before it is used.

Every request ends as a reply or as a failure with its reason. Time is the event loop's.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from vlreward.errors import ConfigError
from vlreward.generation.budget import Budget
from vlreward.generation.config import EndpointConfig
from vlreward.generation.delays import Delays
from vlreward.generation.journal import Asked, ReplyJournal
from vlreward.generation.outcomes import OUTAGES, Failure, Outcome, Reply
from vlreward.generation.pacing import AdaptiveLimit, wait_seconds
from vlreward.generation.prices import Pricing, find_pricing, pricing_of
from vlreward.generation.reaching import endpoint_refused
from vlreward.generation.requests import ChatRequest
from vlreward.generation.tokens import estimated_input_tokens, guesses_pictures, worst_case
from vlreward.generation.transport import Caller, Completion, Sender, Setback
from vlreward.generation.unanswered import Unanswered
from vlreward.progress import Advance
from vlreward.records import Message

if TYPE_CHECKING:
    import httpx2

_LONGEST_WAIT_SECONDS = 900.0
"""An endpoint that asks for a longer pause gets no further attempt in this run."""
_SHORT_QUESTION = "Are you there? Say yes."


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """An endpoint with all that asking it takes.

    `clock` tells seconds since 1970 for the journal; `rng` spreads retries; `transport` stands for
    the network and `new_loop` for time in tests. `in_process` makes what sends requests to a model
    that runs in this process. With `needs_replies`, requests that the endpoint did not reply to are
    not final: a run that has some raises EndpointError at its end, and the next asks them again.
    Without, they are final as soon as the endpoint answers others. `tell` hears, now and then, why
    requests are sent again.
    """

    endpoint: EndpointConfig
    journal: ReplyJournal
    budget: Budget = field(default_factory=Budget)
    api_key: str | None = field(default=None, repr=False)
    clock: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random, repr=False)
    transport: httpx2.AsyncBaseTransport | None = None
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    in_process: Callable[[EndpointConfig], Sender] | None = None
    needs_replies: bool = False
    tell: Callable[[str], None] = lambda _said: None


def ask(
    requests: Iterable[ChatRequest],
    *,
    connection: Connection,
    progress: Advance | None = None,
) -> dict[str, Reply | Failure]:
    """`ask_all` for callers without an event loop: all results by key, in order of arrival.

    Raises ConfigError if the budget has a cap and the price is not known, EndpointError if the
    endpoint refuses the whole run; what had arrived by then is in the journal.
    """

    async def collect() -> dict[str, Reply | Failure]:
        outcomes = ask_all(requests, connection=connection, progress=progress)
        return {key: result async for key, result in outcomes}

    with asyncio.Runner(loop_factory=connection.new_loop) as runner:
        return runner.run(collect())


async def ask_all(
    requests: Iterable[ChatRequest],
    *,
    connection: Connection,
    progress: Advance | None = None,
) -> AsyncIterator[Outcome]:
    """Asks each distinct request that the journal does not know; outcomes in order of arrival.

    Requests are taken from the iterable as calls become free. Where the endpoint gives no reply to
    many of them in a row, nor to a short request of our own, the run stops, and these are asked
    again by the next one; where the connection needs replies, it stops without that request, and at
    its end if any got none. A cancelled or abandoned run keeps what had arrived in the journal;
    calls still out count at their worst case. Raises as `ask`.
    """
    running: set[asyncio.Task[Outcome]] = set()
    async with _asker(connection) as asker:
        try:
            for key, request in _distinct(requests):
                known = connection.journal.find(key)
                if known is not None:
                    yield _shown(Outcome(key, known), progress, connection)
                    continue
                running.add(asyncio.create_task(asker.ask(key, request)))
                while len(running) >= connection.endpoint.max_concurrency:
                    for outcome in await asker.arrived(running):
                        yield _shown(outcome, progress, connection)
            while running:
                for outcome in await asker.arrived(running):
                    yield _shown(outcome, progress, connection)
            asker.unanswered.end()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _distinct(requests: Iterable[ChatRequest]) -> Iterator[tuple[str, ChatRequest]]:
    seen: set[str] = set()
    for request in requests:
        key = request.key
        if key not in seen:
            seen.add(key)
            yield key, request


def _shown(outcome: Outcome, progress: Advance | None, connection: Connection) -> Outcome:
    if progress is not None:
        spent = connection.budget.spent
        progress(f"${spent:.2f} spent" if spent else "")
    return outcome


@asynccontextmanager
async def _asker(connection: Connection) -> AsyncIterator[_Asker]:
    endpoint = connection.endpoint
    has_cap = connection.budget.max_dollars is not None
    pricing = pricing_of(endpoint) if has_cap else find_pricing(endpoint)
    sender = _sender(connection)
    try:
        yield _Asker(connection, sender=sender, pricing=pricing)
    finally:
        await sender.close()


def _sender(connection: Connection) -> Sender:
    endpoint = connection.endpoint
    if not endpoint.is_in_process:
        return Caller(
            endpoint,
            api_key=connection.api_key,
            clock=connection.clock,
            transport=connection.transport,
        )
    if connection.in_process is None:
        raise ConfigError(
            "in-process-unsupported",
            value=endpoint.model,
            place="base_url",
            expected="the address of an endpoint: here no model is run in the process itself",
            mend="Serve the model, for instance with vLLM, and give its address.",
        )
    return connection.in_process(endpoint)


class _Attempt(NamedTuple):
    """What one call brought and cost, the latter None where no price is known."""

    result: Completion | Setback
    dollars: float | None
    send: int | None
    seconds: float


class _Asker:
    """One run against one endpoint."""

    def __init__(self, connection: Connection, *, sender: Sender, pricing: Pricing | None) -> None:
        self._connection = connection
        self._endpoint = connection.endpoint
        self._journal = connection.journal
        self._budget = connection.budget
        self._sender = sender
        self._pricing = pricing
        self._limit = AdaptiveLimit(most=self._endpoint.max_concurrency)
        self.unanswered = Unanswered(
            self._endpoint,
            needs_replies=connection.needs_replies,
            record=self._record,
            still_answers=self._still_answers,
        )
        self._delays = Delays(self._endpoint, tell=connection.tell)

    async def arrived(self, running: set[asyncio.Task[Outcome]]) -> list[Outcome]:
        """Waits for at least one task, takes the finished ones out and gives their outcomes."""
        done = await self._delays.wait(running)
        running -= done
        errors = [error for task in done if (error := task.exception()) is not None]
        if errors:
            raise errors[0]
        return [task.result() for task in done]

    async def ask(self, key: str, request: ChatRequest) -> Outcome:
        """Sends a request until it has a reply or a final failure, and journals that."""
        worst = self._worst_dollars(request)
        number = 0
        while True:
            number += 1
            attempt = await self._attempt(key, request, worst)
            if attempt is None:
                return Outcome(key, self._unasked(number - 1, worst=worst))
            if isinstance(attempt.result, Completion):
                result = self._read(attempt.result, attempt, number=number)
                self._record(key, request, result, send=attempt.send)
                self.unanswered.note_answer()
                self._refuse_overrun(attempt, worst)
                return Outcome(key, result)
            setback = attempt.result
            if setback.stops_run:
                raise endpoint_refused(self._endpoint, detail=setback.detail)
            wait = wait_seconds(number, retry_after=setback.retry_after, rng=self._connection.rng)
            tries_left = number < self._endpoint.max_attempts and wait <= _LONGEST_WAIT_SECONDS
            if setback.is_final or not tries_left:
                failure = self._given_up(setback, number=number)
                if failure.reason in OUTAGES:
                    await self.unanswered.add(key, request, failure)
                else:
                    self._record(key, request, failure)
                    if failure.reason != "picture":
                        self.unanswered.note_answer()
                return Outcome(key, failure)
            self._delays.tell(
                f"{setback.detail or setback.reason}; sent again in {wait:.0f} s, {number} of "
                f"{self._endpoint.max_attempts} times tried"
            )
            await asyncio.sleep(wait)

    async def _attempt(
        self, key: str, request: ChatRequest, worst: float | None
    ) -> _Attempt | None:
        """One call within the limits on calls and money; None where there is no money for it.

        Between the arrival of a completion and `ask`'s recording it nothing is awaited, so no
        cancellation can lose it.
        """
        now = asyncio.get_running_loop().time
        async with self._limit.slot() as call:
            reservation = await self._budget.reserve(worst or 0.0)
            if reservation is None:
                return None
            dollars = worst
            try:
                send = self._journal.sending(key, dollars=worst) if worst else None
                started = now()
                result = await self._sender.send(request)
                dollars = self._settled(result, send=send, worst=worst)
            finally:
                self._budget.settle(reservation, dollars=dollars or 0.0)
            if isinstance(result, Completion):
                self._limit.succeeded()
            elif result.is_overload:
                self._limit.overloaded(call)
        return _Attempt(result, dollars, send, now() - started)

    def _worst_dollars(self, request: ChatRequest) -> float | None:
        """The most that a call can cost, cap or none: a later run's cap counts it too.

        None where that is not known. With a cap raises ConfigError for pictures of unknown rule.
        """
        if self._pricing is None:
            return None
        has_cap = self._budget.max_dollars is not None
        if not has_cap and any(request.pictures) and guesses_pictures(self._endpoint):
            return None
        return self._pricing(*worst_case(request, endpoint=self._endpoint))

    def _settled(
        self, result: Completion | Setback, *, send: int | None, worst: float | None
    ) -> float | None:
        """What the call cost, at its worst where that is not known; None if neither is."""
        if isinstance(result, Setback):
            if not result.maybe_billed and send is not None:
                self._journal.not_billed(send)
            return worst if result.maybe_billed else 0.0
        if self._pricing is None:
            return None
        if result.input_tokens is None or result.output_tokens is None:
            return worst
        return self._pricing(result.input_tokens, result.output_tokens)

    def _read(self, completion: Completion, attempt: _Attempt, *, number: int) -> Reply | Failure:
        """The completion as a reply, or why it is none; it is paid for either way."""
        now = self._connection.clock()
        if completion.refusal or completion.finish_reason == "content_filter":
            reason: Literal["refusal", "empty"] = "refusal"
            detail = completion.refusal or "the endpoint filtered the reply"
        elif not completion.text.strip():
            reason, detail = "empty", f"no text; finish reason {completion.finish_reason!r}"
        else:
            return Reply(
                text=completion.text,
                finish_reason=completion.finish_reason,
                model=completion.model or self._endpoint.model,
                input_tokens=completion.input_tokens,
                output_tokens=completion.output_tokens,
                dollars=attempt.dollars,
                attempts=number,
                seconds=attempt.seconds,
                time=now,
                reasoning=completion.reasoning,
            )
        return Failure(
            reason=reason, detail=detail, attempts=number, dollars=attempt.dollars, time=now
        )

    def _record(
        self, key: str, request: ChatRequest, result: Reply | Failure, *, send: int | None = None
    ) -> None:
        asked = Asked(
            key=key,
            kind=request.kind,
            model=request.model,
            expected_input_tokens=estimated_input_tokens(request, endpoint=self._endpoint),
        )
        self._journal.record(asked, result, send=send)

    def _given_up(self, setback: Setback, *, number: int) -> Failure:
        """The failure; what its calls may have cost stays noted in the journal's sends."""
        return Failure(
            reason=setback.reason,
            detail=setback.detail,
            attempts=number,
            time=self._connection.clock(),
        )

    async def _still_answers(self) -> bool:
        """Whether the endpoint replies to a short request: then the others are at fault."""
        request = ChatRequest(
            messages=(Message(role="user", content=(_SHORT_QUESTION,)),),
            model=self._endpoint.model,
            max_output_tokens=16,
            seed=time.time_ns(),  # asked anew each time
            kind="still-there",
        )
        worst = self._worst_dollars(request)
        for number in range(1, self._endpoint.max_attempts + 1):
            attempt = await self._attempt(request.key, request, worst)
            if attempt is None:  # no money: the next request says so
                return True
            if isinstance(attempt.result, Completion):
                result = self._read(attempt.result, attempt, number=number)
                self._record(request.key, request, result, send=attempt.send)
                return True
            await asyncio.sleep(wait_seconds(number, retry_after=None, rng=self._connection.rng))
        return False

    def _unasked(self, num_attempts: int, *, worst: float | None) -> Failure:
        detail = (
            f"${self._budget.spent:.4g} spent and ${worst or 0.0:.4g} to reserve for the next call "
            f"are more than the cap of ${self._budget.max_dollars:.4g}"
        )
        return Failure(reason="budget", detail=detail, attempts=num_attempts)

    def _refuse_overrun(self, attempt: _Attempt, worst: float | None) -> None:
        """Stops a run whose worst cases are none, before it passes the cap."""
        if self._budget.max_dollars is None or worst is None:
            return
        if (attempt.dollars or 0.0) <= worst * (1 + 1e-9):
            return
        raise ConfigError(
            "worst-case-exceeded",
            value=f"a call for ${attempt.dollars:.6f}",
            place=self._endpoint.model,
            expected=f"at most ${worst:.6f} by its text, pictures and max_output_tokens",
            mend="Set tokens_per_picture to what the provider bills at most, and check that the "
            "endpoint heeds output_limit_field. The reply is kept.",
        )
