"""Which language model is asked, where, and within which bounds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from vlreward.errors import ConfigError, require

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

IN_PROCESS = "in-process"
"""Stands for an address where the model runs in this process, without any endpoint."""


HOW_ASKED = frozenset(
    {
        "base_url",
        "api_key_env",
        "timeout_seconds",
        "max_concurrency",
        "max_attempts",
        "output_limit_field",
        "dollars_per_million_input_tokens",
        "dollars_per_million_output_tokens",
        "tokens_per_picture",
        "expected_output_tokens",
    }
)
"""Fields that say where and how a model is asked and what it costs, and nothing of what is asked:
a reply stays the reply when they change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointConfig:
    """One model behind an OpenAI-compatible chat endpoint, or in this process.

    Raises ConfigError for values that cannot be.
    """

    base_url: str
    """Where the API is, up to and with its version, as in https://api.openai.com/v1; `in-process`
    for a model that this process itself runs, one request after the other."""
    model: str
    """The model's name as the endpoint knows it; its folder or hub name for one in-process."""
    api_key_env: str | None = None
    """The NAME of the environment variable that holds the key; none for endpoints without keys."""
    timeout_seconds: float = 120.0
    """After how long a call without a whole answer is given up."""
    max_concurrency: int = 64
    """At most this many calls at once; fewer while the endpoint is overloaded."""
    max_attempts: int = 6
    """How often a request is sent until it is set aside with its last error as the reason."""
    temperature: float | None = 0.0
    """Sampling temperature; none for models that do not take one."""
    top_p: float | None = None
    """The share of probability that is drawn from; unset, what the endpoint does by itself."""
    max_output_tokens: int = 1024
    """A reply is cut after this many tokens; the budget counts on it."""
    output_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls that limit; OpenAI's reasoning models want the longer name."""
    structured: bool = False
    """Whether the endpoint takes response_format with a json_schema."""
    dollars_per_million_input_tokens: float | None = None
    """Price, where it is not the published one of the model; 0 for one of your own."""
    dollars_per_million_output_tokens: float | None = None
    """The same for output; give both or neither."""
    tokens_per_picture: int | None = None
    """The most tokens that a picture is billed as; needed for priced models whose rule for pictures
    is not known here."""
    expected_output_tokens: int = 256
    """How long replies are taken to be in estimates, until the journal knows better."""

    @property
    def is_in_process(self) -> bool:
        """Whether the model runs in this process."""
        return self.base_url == IN_PROCESS

    def __post_init__(self) -> None:
        if not self.is_in_process:
            _check_url(self.base_url)
        require(bool(self.model.strip()), place="model", value=repr(self.model), expected="a name")
        _check_key_name(self.api_key_env)
        for name, low, high in _WHOLE_NUMBERS:
            number = getattr(self, name)
            expected = f"a whole number from {low} to {high}"
            require(low <= number <= high, place=name, value=number, expected=expected)
        if self.tokens_per_picture is not None:
            require(
                self.tokens_per_picture >= 0,
                place="tokens_per_picture",
                value=self.tokens_per_picture,
                expected="0 or more",
            )
        require(
            0 < self.timeout_seconds < math.inf,
            place="timeout_seconds",
            value=self.timeout_seconds,
            expected="a number of seconds above 0",
        )
        for name in ("temperature", *_PRICES):
            value = getattr(self, name)
            if value is not None:
                require(0 <= value < math.inf, place=name, value=value, expected="0 or more")
        top_p = self.top_p
        expected = "above 0, up to 1"
        require(top_p is None or 0 < top_p <= 1, place="top_p", value=top_p, expected=expected)
        prices = [getattr(self, name) for name in _PRICES]
        require(
            (prices[0] is None) == (prices[1] is None),
            place=" and ".join(_PRICES),
            value=prices,
            expected="both prices or neither",
        )


_WHOLE_NUMBERS = (
    ("max_concurrency", 1, 1000),
    ("max_attempts", 1, 100),
    ("max_output_tokens", 1, 10**6),
    ("expected_output_tokens", 0, 10**6),
)
_PRICES = ("dollars_per_million_input_tokens", "dollars_per_million_output_tokens")


def _check_url(url: str) -> None:
    """Refuses what is no address, and addresses that hold secrets: they are shown and written."""
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme in ("http", "https") and bool(parts.hostname)
        has_secrets = parts.username is not None or bool(parts.query or parts.fragment)
    except ValueError:
        is_plain, has_secrets = False, False
    require(
        not has_secrets,
        place="base_url",
        value="an address with a user, a query or a fragment",
        expected="a plain address; keys are given by api_key_env",
    )
    require(is_plain, place="base_url", value=repr(url), expected="an http or https address")


def _check_key_name(name: str | None) -> None:
    """Refuses what is no name of an environment variable, without repeating it: it may be a key."""
    if name is not None and not _ENVIRONMENT_NAME.fullmatch(name):
        raise ConfigError(
            "config-value",
            value="something that is no variable's name",
            place="api_key_env",
            expected="the name of an environment variable, as in OPENAI_API_KEY",
            mend="Put the key into the environment and give the variable's name here.",
        )
