"""What tokens cost: the configured price, else the published one as packaged, never the network."""

from __future__ import annotations

from collections.abc import Callable

from vlreward.errors import ConfigError
from vlreward.extras import import_extra
from vlreward.generation.config import EndpointConfig

Pricing = Callable[[int, int], float]
"""Dollars for a number of input tokens and one of output tokens."""


def find_pricing(endpoint: EndpointConfig) -> Pricing | None:
    """What the endpoint's model costs, or None where that is not known.

    A published price counts only at its own provider's address: elsewhere the same name may cost
    something else, or nothing.
    """
    into = endpoint.dollars_per_million_input_tokens
    out = endpoint.dollars_per_million_output_tokens
    if into is not None and out is not None:
        return lambda input_tokens, output_tokens: (input_tokens * into + output_tokens * out) / 1e6
    pricing = _published(endpoint)
    try:
        pricing(1, 1)
    except LookupError:
        return None
    return pricing


def is_free(endpoint: EndpointConfig) -> bool:
    """Whether an endpoint outside this process is set to cost nothing."""
    prices = (endpoint.dollars_per_million_input_tokens, endpoint.dollars_per_million_output_tokens)
    return prices == (0, 0) and not endpoint.is_in_process


def pricing_of(endpoint: EndpointConfig) -> Pricing:
    """`find_pricing`, for where money matters; raises ConfigError if no price is known."""
    pricing = find_pricing(endpoint)
    if pricing is None:
        raise ConfigError(
            "price-unknown",
            value=f"{endpoint.model} at {endpoint.base_url}",
            place="model",
            expected="a model whose price is known",
            mend="Set dollars_per_million_input_tokens and dollars_per_million_output_tokens; "
            "0 and 0 for a model of your own.",
        )
    return pricing


def _published(endpoint: EndpointConfig) -> Pricing:
    library = import_extra("genai_prices", extra="curate")

    def dollars(input_tokens: int, output_tokens: int) -> float:
        usage = library.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        price = library.calc_price(usage, endpoint.model, provider_api_url=endpoint.base_url)
        return float(price.total_price)

    return dollars
