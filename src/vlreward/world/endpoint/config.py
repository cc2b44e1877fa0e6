"""What the stand-in endpoint does wrong, what it charges, and where it listens."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from vlreward.errors import require

ModelName = Literal["world-judge", "world-vlm", "world-describer", "world-reasoner"]


def _require_rate(rate: float, *, place: str) -> None:
    require(0 <= rate <= 1, place=place, value=rate, expected="a share in [0, 1]")


def _require_not_negative(value: float, *, place: str) -> None:
    require(0 <= value < float("inf"), place=place, value=value, expected="0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleConfig:
    """How often one model is wrong, and what it costs."""

    error_rate: float = 0.0
    """Share of verdicts, answers or descriptions that are wrong."""
    input_price: float = 0.0
    """Dollars for a million prompt tokens."""
    output_price: float = 0.0
    """Dollars for a million completion tokens."""

    def __post_init__(self) -> None:
        _require_rate(self.error_rate, place="error_rate")
        for name in ("input_price", "output_price"):
            _require_not_negative(getattr(self, name), place=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultRates:
    """Shares of the calls that go wrong on the way; together at most 1."""

    rate_limit: float = 0.0
    """Status 429 with a Retry-After header."""
    server_error: float = 0.0
    """Status 500, 502 or 503."""
    hang: float = 0.0
    """No reply at all: the connection is held and then closed."""
    torn: float = 0.0
    """A body cut in its middle; its Content-Length is the whole body's or the rest's."""
    refusal: float = 0.0
    """A reply without an answer: `message.refusal`, or `finish_reason` content_filter. Whoever asks
    the same again is refused again."""

    def __post_init__(self) -> None:
        rates = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, rate in rates.items():
            _require_rate(rate, place=f"faults.{name}")
        total = sum(rates.values())
        # Ten tenths add up to a little more than 1.
        require(
            total <= 1 + 1e-9, place="faults", value=total, expected="rates of at most 1 in all"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldEndpointConfig:
    """Everything that decides what the endpoint replies, but for what it knows."""

    error_seed: int = 0
    """Draws which calls are answered wrongly and which meet a fault."""
    judge: RoleConfig = RoleConfig()
    """The judge, `world-judge`."""
    vlm: RoleConfig = RoleConfig()
    """The model that answers questions about pictures, `world-vlm`."""
    describer: RoleConfig = RoleConfig()
    """The model that says what a picture shows, `world-describer`."""
    reasoner: RoleConfig = RoleConfig()
    """The model that answers from a description, `world-reasoner`."""
    judge_errors: Literal["pair", "call"] = "pair"
    """`pair`: a judge that errs about two answers does so in both orders and however it is asked.
    `call`: every request errs for itself, so that the two orders may contradict each other."""
    faults: FaultRates = FaultRates()
    """What goes wrong on the way."""
    retry_after_seconds: float = 1.0
    """What the Retry-After header of a 429 says; OpenAI's clients understand fractions."""
    hang_seconds: float = 60.0
    """How long a connection that hangs is held."""
    api_key: str | None = None
    """The key that every request must carry; none is asked for if there is none."""
    max_body_bytes: int = 64 * 2**20
    """Largest request."""
    host: str = "127.0.0.1"
    """Where to listen."""
    port: int = 0
    """Where to listen; 0 takes a free one."""

    def __post_init__(self) -> None:
        for name in ("retry_after_seconds", "hang_seconds"):
            _require_not_negative(getattr(self, name), place=name)
        size = self.max_body_bytes
        require(size > 0, place="max_body_bytes", value=size, expected="above 0")
        key = self.api_key
        is_sayable = key is None or (key != "" and key.isascii() and key.isprintable())
        require(is_sayable, place="api_key", value=key, expected="printable ASCII, or no key")
        require(0 <= self.port < 65536, place="port", value=self.port, expected="0 to 65535")

    def role(self, model: ModelName) -> RoleConfig:
        """The configuration of one model."""
        match model:
            case "world-judge":
                return self.judge
            case "world-vlm":
                return self.vlm
            case "world-describer":
                return self.describer
            case "world-reasoner":
                return self.reasoner
