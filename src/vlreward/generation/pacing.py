"""How fast an endpoint is asked: calls at once, waits between attempts, what Retry-After says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0


class Signal:
    """Wakes all that wait, again and again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Sleeps until the next `announce`."""
        await self._event.wait()

    def announce(self) -> None:
        """Wakes whoever waits now."""
        self._event.set()
        self._event = asyncio.Event()


class AdaptiveLimit:
    """How many calls may be out at once: one more a round of successes, half after an overload.

    Calls that were out when the limit was halved do not halve it again: they tell of the same
    overload.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._num_out = 0
        self._num_started = 0
        self._started_at_cut = 0
        self._changed = Signal()

    @property
    def limit(self) -> int:
        """Calls that may be out now, at least 1."""
        return int(self._limit)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Waits for a free place and holds it; gives the call's number, for `overloaded`."""
        while self._num_out >= self.limit:
            await self._changed.wait()
        self._num_out += 1
        self._num_started += 1
        try:
            yield self._num_started
        finally:
            self._num_out -= 1
            self._changed.announce()

    def succeeded(self) -> None:
        """A call went well."""
        self._limit = min(self._limit + 1 / self._limit, float(self._most))

    def overloaded(self, call: int) -> None:
        """The call of this number met an endpoint that could not keep up."""
        if call > self._started_at_cut:
            self._limit = max(1.0, self._limit / 2)
            self._started_at_cut = self._num_started


def wait_seconds(attempt: int, *, retry_after: float | None, rng: random.Random) -> float:
    """How long to wait after the attempt of this number, from 1, failed.

    Exponential with jitter; never less than the endpoint asked for.
    """
    backoff = min(_FIRST_WAIT_SECONDS * 2.0 ** (attempt - 1), _LONGEST_BACKOFF_SECONDS)
    if retry_after is not None:
        return retry_after + rng.uniform(0, 0.1 * backoff)
    return backoff * rng.uniform(0.5, 1.0)


def retry_after_seconds(headers: Mapping[str, str], *, now: float) -> float | None:
    """What a Retry-After header asks for, as seconds or as a date; None where there is none.

    `headers` are found whatever their case; `now` is in seconds since 1970.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)


def _number(value: str | None) -> float | None:
    """The number 0 or more that a header holds, if it holds one; not `nan` or `inf`."""
    try:
        number = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
