"""Requests that got no reply, until it is known whether they or their endpoint are at fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from vlreward.generation.config import EndpointConfig
from vlreward.generation.outcomes import Failure
from vlreward.generation.reaching import endpoint_silent, endpoint_unanswered
from vlreward.generation.requests import ChatRequest

_MOST_IN_A_ROW = 8
"""So many requests in a row without any answer may be the endpoint's fault, not theirs."""


class Unanswered:
    """Those of one run; a run that is killed meanwhile leaves them to be asked again.

    With `needs_replies` none is ever final; else each is once the endpoint answers others, and
    `record` hears of it. `still_answers` asks the endpoint something short.
    """

    def __init__(
        self,
        endpoint: EndpointConfig,
        *,
        needs_replies: bool,
        record: Callable[[str, ChatRequest, Failure], None],
        still_answers: Callable[[], Awaitable[bool]],
    ) -> None:
        self._endpoint = endpoint
        self._needs_replies = needs_replies
        self._record = record
        self._still_answers = still_answers
        self._found: dict[str, tuple[ChatRequest, Failure]] = {}
        self._num_in_a_row = 0

    async def add(self, key: str, request: ChatRequest, failure: Failure) -> None:
        """Notes a request; raises EndpointError if too many fail one after the other."""
        self._found[key] = (request, failure)
        self._num_in_a_row += 1
        if self._num_in_a_row < _MOST_IN_A_ROW:
            return
        self._num_in_a_row = 0  # meanwhile the others do not ask, too
        if self._needs_replies or not await self._still_answers():
            raise endpoint_silent(
                self._endpoint,
                num_requests=_MOST_IN_A_ROW,
                detail=failure.detail,
                may_drop=self._needs_replies,
            )
        self.note_answer()

    def note_answer(self) -> None:
        """The endpoint answers: who got no reply before gets none for reasons of its own."""
        self._num_in_a_row = 0
        if self._needs_replies:
            return
        for key, (request, failure) in self._found.items():
            self._record(key, request, failure)
        self._found.clear()

    def end(self) -> None:
        """All were asked; raises EndpointError if replies are needed and some got none."""
        if self._needs_replies and self._found:
            raise endpoint_unanswered(self._endpoint, [one for _, one in self._found.values()])
        self.note_answer()
