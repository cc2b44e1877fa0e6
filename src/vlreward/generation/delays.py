"""What holds calls to an endpoint up, said now and then."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TypeVar

from vlreward.generation.config import EndpointConfig

T = TypeVar("T")

_SECONDS_BETWEEN_WORDS = 30.0
"""At least so long between two messages, and before the first about silence."""


class Delays:
    """Tells of a delay once for all calls that it holds up at a time."""

    def __init__(self, endpoint: EndpointConfig, *, tell: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._say = tell
        self._told_at = self._delay_told_at = -math.inf

    async def wait(self, running: set[asyncio.Task[T]]) -> set[asyncio.Task[T]]:
        """Waits for at least one of the calls to end; gives those that have."""
        done: set[asyncio.Task[T]] = set()
        while not done:
            done, _ = await asyncio.wait(
                running, timeout=_SECONDS_BETWEEN_WORDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not done and not self._endpoint.is_in_process and self._is_due(self._told_at):
                self._tell(
                    f"no reply for {_SECONDS_BETWEEN_WORDS:.0f} s, calls out: {len(running)}; each "
                    f"is given up after {self._endpoint.timeout_seconds:g} s"
                )
        return done

    def tell(self, why: str) -> None:
        """Says why a call is delayed, unless that was said of another a short time ago."""
        if self._is_due(self._delay_told_at):
            self._tell(why)
            self._delay_told_at = self._told_at

    def _is_due(self, told_at: float) -> bool:
        return asyncio.get_running_loop().time() - told_at >= _SECONDS_BETWEEN_WORDS

    def _tell(self, what: str) -> None:
        self._told_at = asyncio.get_running_loop().time()
        self._say(f"{self._endpoint.model} at {self._endpoint.base_url}: {what}.")
