"""Who answers a judge's questions: a model behind an API, or one in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vlreward.errors import DataError
from vlreward.generation.client import Connection, ask
from vlreward.generation.config import EndpointConfig
from vlreward.generation.outcomes import Failure, Reason, Reply
from vlreward.generation.reading import without_thinking
from vlreward.generation.requests import ChatRequest, JsonSchema, make_request
from vlreward.progress import Advance
from vlreward.records import Message, Prompt

if TYPE_CHECKING:
    from vlreward.generation.reasoning import Generated


class Question(NamedTuple):
    """What a judge is asked; `sample` tells questions apart that are otherwise equal."""

    messages: tuple[Message, ...]
    kind: str
    sample: int = 0
    json_schema: JsonSchema | None = None


class Said(NamedTuple):
    """A judge's reply without its thinking, and what it took; empty where it only thought."""

    text: str
    seconds: float | None = None
    dollars: float | None = None


class Respondent(Protocol):
    """Answers questions, each as it would alone."""

    def answer(
        self, questions: Sequence[Question], *, progress: Advance | None = None
    ) -> list[Said | Failure]:
        """The replies in the order of the questions."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiRespondent:
    """Asks an endpoint, many questions at once; what the journal knows is not asked again."""

    connection: Connection

    def answer(
        self, questions: Sequence[Question], *, progress: Advance | None = None
    ) -> list[Said | Failure]:
        """See `Respondent`; raises as `generation.client.ask`."""
        requests = requests_of(questions, endpoint=self.connection.endpoint)
        results = ask(requests, connection=self.connection, progress=progress)
        paid: set[str] = set()
        said = []
        for request in requests:
            said.append(_heard(results[request.key], is_paid=request.key in paid))
            paid.add(request.key)
        return said


def requests_of(questions: Sequence[Question], *, endpoint: EndpointConfig) -> list[ChatRequest]:
    """What an endpoint is sent for the questions, in their order."""
    return [
        make_request(
            one.messages,
            endpoint=endpoint,
            kind=one.kind,
            json_schema=one.json_schema,
            sample=one.sample,
        )
        for one in questions
    ]


def _heard(result: Reply | Failure, *, is_paid: bool) -> Said | Failure:
    """What a question was told; a reply that several share costs the first of them."""
    dollars = 0.0 if is_paid and result.dollars is not None else result.dollars
    if isinstance(result, Failure):
        return replace(result, dollars=dollars)
    return Said(without_thinking(result.text) or "", result.seconds, dollars)


class Sampler(Protocol):
    """What of `sampling.LocalGenerator` is needed."""

    def sample(self, prompt: Prompt, *, num_responses: int, seed: int) -> list[Generated]:
        """Answers, the same for the same seed."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalRespondent:
    """Asks a model in this process, one question after the other.

    A question's seed is `seed` plus its sample's number, so that its reply does not depend on what
    else is asked.
    """

    generator: Sampler
    seed: int = 0
    clock: Callable[[], float] = time.monotonic

    def answer(
        self, questions: Sequence[Question], *, progress: Advance | None = None
    ) -> list[Said | Failure]:
        """See `Respondent`."""
        out = []
        for one in questions:
            out.append(self._answer(one))
            if progress is not None:
                progress()
        return out

    def _answer(self, question: Question) -> Said | Failure:
        started = self.clock()
        prompt = Prompt(messages=question.messages)
        try:
            [drawn] = self.generator.sample(
                prompt, num_responses=1, seed=self.seed + question.sample
            )
        except DataError as error:
            reason: Reason = "empty" if error.code == "answer-empty" else "rejected"
            return Failure(reason=reason, detail=str(error))
        seconds = self.clock() - started
        return Said(without_thinking(drawn.response.text) or "", seconds)
