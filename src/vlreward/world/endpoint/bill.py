"""What the endpoint has charged, and for what."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vlreward.world.endpoint.config import ModelName, WorldEndpointConfig
from vlreward.world.endpoint.protocol import MODELS, ChatRequest, Completion

Outcome = Literal["answered", "torn"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelBill:
    """One model's calls, and what they cost."""

    calls: int = 0
    """Requests for this model that were well-formed, whatever became of them."""
    answered: int = 0
    """Whole replies of status 200, refusals included; tokens and dollars are theirs."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    torn: int = 0
    """Replies of status 200 that were cut on their way."""
    torn_dollars: float = 0.0
    """What a provider would charge for these as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """The bill at one time."""

    models: Mapping[ModelName, ModelBill]
    dollars: float
    """Of all whole replies."""
    answered: Mapping[str, int]
    """How often each distinct request got a whole reply, by `protocol.request_id`."""


class Cashier:
    """Counts calls and tokens, for many threads at once."""

    def __init__(self, config: WorldEndpointConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._calls: Counter[ModelName] = Counter()
        self._attempts: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._replies: Counter[tuple[ModelName, Outcome]] = Counter()
        self._prompt_tokens: Counter[tuple[ModelName, Outcome]] = Counter()
        self._completion_tokens: Counter[tuple[ModelName, Outcome]] = Counter()

    def arrive(self, request: ChatRequest) -> int:
        """Counts a call and returns how many of the same request came before it."""
        with self._lock:
            self._calls[request.model] += 1
            self._attempts[request.digest] += 1
            return self._attempts[request.digest] - 1

    def charge(self, request: ChatRequest, completion: Completion, *, outcome: Outcome) -> None:
        """Counts a reply of status 200 and its tokens."""
        key = (request.model, outcome)
        with self._lock:
            self._replies[key] += 1
            self._prompt_tokens[key] += completion.num_prompt_tokens
            self._completion_tokens[key] += completion.num_completion_tokens
            if outcome == "answered":
                self._answered[request.digest] += 1

    @property
    def bill(self) -> Bill:
        """Everything so far."""
        with self._lock:
            models = {model: self._model_bill(model) for model in MODELS}
            answered = dict(self._answered)
        dollars = sum(one.dollars for one in models.values())
        return Bill(models=models, dollars=dollars, answered=answered)

    def _model_bill(self, model: ModelName) -> ModelBill:
        return ModelBill(
            calls=self._calls[model],
            answered=self._replies[model, "answered"],
            prompt_tokens=self._prompt_tokens[model, "answered"],
            completion_tokens=self._completion_tokens[model, "answered"],
            dollars=self._dollars(model, "answered"),
            torn=self._replies[model, "torn"],
            torn_dollars=self._dollars(model, "torn"),
        )

    def _dollars(self, model: ModelName, outcome: Outcome) -> float:
        role = self._config.role(model)
        prompt = self._prompt_tokens[model, outcome] * role.input_price
        return (prompt + self._completion_tokens[model, outcome] * role.output_price) / 1_000_000
