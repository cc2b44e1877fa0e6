"""What asking will cost, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vlreward.generation.config import EndpointConfig
from vlreward.generation.journal import Means, ReplyJournal
from vlreward.generation.prices import Pricing, pricing_of
from vlreward.generation.requests import ChatRequest
from vlreward.generation.tokens import estimated_input_tokens

_SECONDS_PER_CALL = 1.0
_SECONDS_PER_OUTPUT_TOKEN = 0.02
"""A guess for a model of the larger sort, until the journal knows better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Calls to come, their tokens, dollars and minutes; `num_known` are in the journal already.

    `is_guess` where the journal has no reply yet to tell how long replies are.
    """

    num_calls: int = 0
    num_known: int = 0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    dollars: float = 0.0
    minutes: float = 0.0
    is_guess: bool = False

    def __add__(self, other: Estimate) -> Estimate:
        """Both, one after the other."""
        return Estimate(
            num_calls=self.num_calls + other.num_calls,
            num_known=self.num_known + other.num_known,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            dollars=self.dollars + other.dollars,
            minutes=self.minutes + other.minutes,
            is_guess=self.is_guess or other.is_guess,
        )


def estimate(
    requests: Iterable[ChatRequest], *, endpoint: EndpointConfig, journal: ReplyJournal
) -> Estimate:
    """What asking the requests will take, equal ones and those in the journal asked no more.

    Input is counted by rule and corrected by how far the rule was off for replies in the journal
    to the same kind of prompt; the length of replies and their time are the means of those, and
    without any the configured length and a guess. Raises ConfigError if no price is known.
    """
    pricing = pricing_of(endpoint)
    means: dict[str, Means | None] = {}
    seen: set[str] = set()
    known, calls = 0, []
    for request in requests:
        key = request.key
        if key in seen:
            continue
        seen.add(key)
        if journal.find(key) is not None:
            known += 1
            continue
        if request.kind not in means:
            means[request.kind] = journal.means(kind=request.kind, model=endpoint.model)
        calls.append(_call(request, endpoint=endpoint, pricing=pricing, mean=means[request.kind]))
    return Estimate(
        num_calls=len(calls),
        num_known=known,
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        dollars=sum(call.dollars for call in calls),
        minutes=sum(call.minutes for call in calls),
        is_guess=any(call.is_guess for call in calls),
    )


def usual_text(kind: str, *, endpoint: EndpointConfig, journal: ReplyJournal) -> str:
    """A text as long as replies to a kind of prompt are, in the place of one that is to come."""
    mean = journal.means(kind=kind, model=endpoint.model)
    expected = min(endpoint.expected_output_tokens, endpoint.max_output_tokens)
    return " ".join(["word"] * round(expected if mean is None else mean.output_tokens))


def _call(
    request: ChatRequest, *, endpoint: EndpointConfig, pricing: Pricing, mean: Means | None
) -> Estimate:
    into = float(estimated_input_tokens(request, endpoint=endpoint))
    if mean is None:
        out = float(min(endpoint.expected_output_tokens, request.max_output_tokens))
        seconds = _SECONDS_PER_CALL + _SECONDS_PER_OUTPUT_TOKEN * out
    else:
        into, out, seconds = into * mean.input_ratio, mean.output_tokens, mean.seconds
    return Estimate(
        input_tokens=into,
        output_tokens=out,
        dollars=pricing(round(into), round(out)),
        minutes=seconds / 60 / (1 if endpoint.is_in_process else endpoint.max_concurrency),
        is_guess=mean is None,
    )
