"""Whether an endpoint can be asked at all, found out before any work is done for its replies."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from vlreward.errors import EndpointError
from vlreward.generation.config import EndpointConfig
from vlreward.generation.outcomes import Failure
from vlreward.generation.transport import Caller, Setback


def refuse_unreachable(endpoint: EndpointConfig, *, api_key: str | None) -> None:
    """Raises EndpointError if an endpoint cannot be reached or refuses the key; nothing is asked.

    A model in this process is not looked for.
    """
    if endpoint.is_in_process:
        return
    obstacle = asyncio.run(_obstacle(endpoint, api_key=api_key))
    if obstacle is None:
        return
    if obstacle.stops_run:
        raise endpoint_refused(endpoint, detail=obstacle.detail)
    raise EndpointError(
        "endpoint-down",
        value="no connection in time" if obstacle.reason == "timeout" else obstacle.detail,
        place=f"{endpoint.model} at {endpoint.base_url}",
        expected="an endpoint that can be reached, before any work is done for its replies",
        mend="Start it or check the address, and run again.",
    )


async def _obstacle(endpoint: EndpointConfig, *, api_key: str | None) -> Setback | None:
    caller = Caller(endpoint, api_key=api_key, clock=time.time)
    try:
        return await caller.find_obstacle()
    finally:
        await caller.close()


def endpoint_refused(endpoint: EndpointConfig, *, detail: str) -> EndpointError:
    """The error of an endpoint that takes no request at all."""
    return EndpointError(
        "endpoint-refused",
        value=detail,
        place=f"{endpoint.model} at {endpoint.base_url}",
        expected="an endpoint that knows the key and the model",
        mend="Check the key, the model's name, the address and the account, and run again: "
        "replies so far are kept.",
    )


def endpoint_silent(
    endpoint: EndpointConfig, *, num_requests: int, detail: str, may_drop: bool
) -> EndpointError:
    """The error of an endpoint that gave so many requests in a row no reply.

    `may_drop` says whether the run could be told to go on without them.
    """
    drop = " If it answers others, --drop-unanswered goes on without these." if may_drop else ""
    return EndpointError(
        "endpoint-down",
        value=f"{num_requests} requests in a row without a reply ({detail})",
        place=f"{endpoint.model} at {endpoint.base_url}",
        expected="replies",
        mend="Run again when it answers: replies so far are kept, what failed is asked again."
        + drop,
    )


def endpoint_unanswered(endpoint: EndpointConfig, failures: Sequence[Failure]) -> EndpointError:
    """The error of an endpoint that answered, but not all requests."""
    reasons = Counter(one.reason for one in failures).most_common()
    said = ", ".join(f"{number} {reason}" for reason, number in reasons)
    return EndpointError(
        "endpoint-unanswered",
        value=f"{len(failures)} requests without a reply: {said} ({failures[-1].detail})",
        place=f"{endpoint.model} at {endpoint.base_url}",
        expected="a reply to each request, or a final refusal",
        mend="Run again to ask these again: all others are kept. With --drop-unanswered the "
        "run goes on without them.",
    )
