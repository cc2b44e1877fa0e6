"""Language models that a run's own process asks, in the place of an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlreward.errors import DataError, PictureError
from vlreward.generation.config import EndpointConfig
from vlreward.generation.outcomes import Reason
from vlreward.generation.requests import ChatRequest
from vlreward.generation.transport import Completion, Sender, Setback
from vlreward.records import Prompt

if TYPE_CHECKING:
    from vlreward.sampling import LocalGenerator


class LocalModels:
    """A run's models, each loaded when it is first asked and kept; torch is loaded then, too."""

    def __init__(self) -> None:
        self._loaded: dict[EndpointConfig, LocalGenerator] = {}

    def sender(self, endpoint: EndpointConfig) -> Sender:
        """What sends requests to the endpoint's model; raises CheckpointError as loading does."""
        if endpoint not in self._loaded:
            self._loaded[endpoint] = self._load(endpoint)
        return _LocalSender(self._loaded[endpoint])

    def _load(self, endpoint: EndpointConfig) -> LocalGenerator:
        from vlreward.sampling import LocalGenerator, Sampling

        sampling = Sampling(
            max_new_tokens=endpoint.max_output_tokens,
            temperature=1.0 if endpoint.temperature is None else endpoint.temperature,
            top_p=endpoint.top_p,
        )
        for known, generator in self._loaded.items():
            if known.model == endpoint.model:
                return generator.with_sampling(sampling)
        return LocalGenerator.load(endpoint.model, sampling=sampling)


class _LocalSender:
    """A `generation.transport.Sender`; while the model answers, nothing else runs."""

    def __init__(self, generator: LocalGenerator) -> None:
        self._generator = generator

    async def send(self, request: ChatRequest) -> Completion | Setback:
        """The model's answer; equal requests have equal ones."""
        try:
            [answer] = self._generator.sample(
                Prompt(messages=request.messages), num_responses=1, seed=int(request.key[:15], 16)
            )
        except PictureError as error:
            return Setback(reason="picture", detail=str(error), is_final=True)
        except DataError as error:
            reason: Reason = "empty" if error.code == "answer-empty" else "rejected"
            return Setback(reason=reason, detail=str(error), is_final=True)
        return Completion(
            text=answer.response.text,
            refusal="",
            reasoning="",
            finish_reason="length" if answer.is_cut else "stop",
            model=request.model,
            input_tokens=None,
            output_tokens=None,
        )

    async def close(self) -> None:
        """Keeps the model for the next requests."""
