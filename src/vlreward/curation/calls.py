"""What paid calls of a curation run share: one journal, one budget, and the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vlreward.errors import ConfigError
from vlreward.generation.budget import Budget
from vlreward.generation.client import Connection
from vlreward.generation.config import EndpointConfig
from vlreward.generation.journal import ReplyJournal
from vlreward.generation.prices import pricing_of
from vlreward.generation.reaching import refuse_unreachable
from vlreward.generation.tokens import refuse_unknown_pictures
from vlreward.generation.transport import Sender


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """How endpoints are asked; `environment` holds their keys by the names that they give."""

    journal: ReplyJournal
    budget: Budget = field(default_factory=Budget)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    needs_keys: bool = True
    """Whether something will be asked; an estimate does without keys."""
    in_process: Callable[[EndpointConfig], Sender] | None = None
    """Makes what sends requests to a model that runs in this process."""
    needs_replies: bool = True
    """Whether a step ends with EndpointError where an endpoint gave no reply to all requests."""
    tell: Callable[[str], None] = lambda _said: None
    """Hears what holds calls up."""

    def connect(self, endpoint: EndpointConfig) -> Connection:
        """A connection to an endpoint; raises ConfigError if its key is not in the environment."""
        return Connection(
            endpoint=endpoint,
            journal=self.journal,
            budget=self.budget,
            api_key=find_key(endpoint, self.environment) if self.needs_keys else None,
            in_process=self.in_process,
            needs_replies=self.needs_replies,
            tell=self.tell,
        )


class AskedModel(NamedTuple):
    """A model that a step may ask, and whether it is shown pictures."""

    endpoint: EndpointConfig
    sees_pictures: bool


def refuse_unaskable(
    models: Iterable[AskedModel],
    *,
    environment: Mapping[str, str],
    max_dollars: float | None,
    needs_keys: bool,
) -> None:
    """Raises ConfigError if a model cannot be asked, or not with this cap: known before any work.

    A key may be missing, a price, or the rule by which pictures are billed. Without keys, nothing
    is asked, but estimated.
    """
    given = list(models)
    for endpoint, _ in given if needs_keys else ():
        find_key(endpoint, environment)
    refuse_unpriced(given, max_dollars=max_dollars, is_estimate=not needs_keys)


def refuse_unpriced(
    models: Iterable[AskedModel], *, max_dollars: float | None, is_estimate: bool
) -> None:
    """Raises ConfigError if a price is not known that a cap, or an estimate, has to be kept with.

    Under a cap the rule by which pictures are billed must be known, too.
    """
    Budget(max_dollars)
    for endpoint, sees_pictures in models:
        try:
            if max_dollars is not None or is_estimate:
                pricing_of(endpoint)
            if max_dollars is not None and sees_pictures:
                refuse_unknown_pictures(endpoint)
        except ConfigError as error:
            raise ConfigError(
                error.code,
                value=error.value,
                place=error.place,
                expected=error.expected,
                mend=f"{error.mend} Flags cannot say it: --write-config FILE writes what they say "
                "into a file, to be completed and given as --from FILE.",
            ) from error


def refuse_unreachable_models(
    models: Iterable[AskedModel], *, environment: Mapping[str, str]
) -> None:
    """Raises EndpointError if an endpoint of theirs is down or refuses the key."""
    met = {(one.endpoint.base_url, one.endpoint.api_key_env): one.endpoint for one in models}
    for endpoint in met.values():
        refuse_unreachable(endpoint, api_key=find_key(endpoint, environment))


def find_key(endpoint: EndpointConfig, environment: Mapping[str, str]) -> str | None:
    """An endpoint's key, None where it wants none; raises ConfigError if it is not there."""
    name = endpoint.api_key_env
    if name is None:
        return None
    key = environment.get(name)
    if not key:
        raise ConfigError(
            "key-missing",
            value="nothing",
            place=f"the environment variable {name}",
            expected="the endpoint's key",
            mend=f"export {name}=…, then run again.",
        )
    return key


def budget_spent(detail: str) -> ConfigError:
    """The error of a step whose calls the money does not reach for."""
    return ConfigError(
        "budget-spent",
        value=detail,
        place="max_dollars",
        expected="money for all calls of the run",
        mend="Replies so far are kept: run again with a larger --max-dollars to go on.",
    )
