"""Answers by language models: straight from the picture, or by way of a description of it.

In direct generation a reasoner that sees answers the question. In two-step generation a model that
sees describes the pictures and a reasoner that does not answers from the description.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vlreward.generation.client import Connection, ask
from vlreward.generation.estimate import Estimate, estimate, usual_text
from vlreward.generation.outcomes import Failure, Reply, no_answer
from vlreward.generation.reading import with_thinking, without_thinking
from vlreward.generation.requests import ChatRequest, make_request
from vlreward.generation.templates import Content, conversation_of, load_template
from vlreward.progress import Advance
from vlreward.records import Prompt, Response

Thinking = Literal["keep", "strip"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """An answer; `is_cut` where it ended at the limit of its length."""

    response: Response
    is_cut: bool


Answers = list[Generated | Failure]


def answer_directly(
    prompts: Sequence[Prompt],
    *,
    connection: Connection,
    num_samples: int = 1,
    seed: int = 0,
    thinking: Thinking = "strip",
    progress: Advance | None = None,
) -> list[Answers]:
    """`num_samples` answers to each prompt, in its order, by a model that sees the pictures."""
    requests = direct_requests(prompts, connection=connection, num_samples=num_samples, seed=seed)
    answers = _answers(requests, connection=connection, thinking=thinking, progress=progress)
    return [answers[start : start + num_samples] for start in range(0, len(requests), num_samples)]


def direct_requests(
    prompts: Sequence[Prompt],
    *,
    connection: Connection,
    num_samples: int = 1,
    seed: int = 0,
) -> list[ChatRequest]:
    """What `answer_directly` asks: the samples of a prompt one after the other."""
    template = load_template("reason-direct")
    return [
        make_request(
            template.fill(conversation=conversation_of(prompt)),
            endpoint=connection.endpoint,
            kind="reason-direct",
            seed=seed,
            sample=sample,
        )
        for prompt in prompts
        for sample in range(num_samples)
    ]


def answer_from_descriptions(
    prompts: Sequence[Prompt],
    *,
    describer: Connection,
    reasoner: Connection,
    num_samples: int = 1,
    seed: int = 0,
    thinking: Thinking = "strip",
    progress: Advance | None = None,
) -> list[Answers]:
    """As `answer_directly`, in two steps: the reasoner sees descriptions and no pictures.

    A prompt whose description failed, or was cut, has that failure for each of its answers.
    """
    descriptions = _describe(prompts, connection=describer, progress=progress)
    requests = [
        _requests_from_description(
            prompt,
            description=description.response.content,
            connection=reasoner,
            num_samples=num_samples,
            seed=seed,
        )
        if isinstance(description, Generated)
        else []
        for prompt, description in zip(prompts, descriptions, strict=True)
    ]
    asked = [request for group in requests for request in group]
    answers = iter(_answers(asked, connection=reasoner, thinking=thinking, progress=progress))
    return [
        [next(answers) for _ in range(num_samples)]
        if isinstance(description, Generated)
        else [description] * num_samples
        for description in descriptions
    ]


def estimate_from_descriptions(
    prompts: Sequence[Prompt], *, describer: Connection, reasoner: Connection, seed: int = 0
) -> Estimate:
    """What `answer_from_descriptions` will take, one answer to each prompt.

    Descriptions that the journal does not know are taken to be as long as is usual.
    """
    describing = description_requests(prompts, connection=describer)
    filler = usual_text("describe", endpoint=describer.endpoint, journal=describer.journal)
    reasoning = []
    for number, (prompt, request) in enumerate(zip(prompts, describing, strict=True)):
        known = describer.journal.find(request.key)
        described = None if known is None else _described(known)
        if not isinstance(described, Failure):
            text = (f"{number} {filler}",) if described is None else described.response.content
            reasoning += _requests_from_description(
                prompt, description=text, connection=reasoner, seed=seed
            )
    first = estimate(describing, endpoint=describer.endpoint, journal=describer.journal)
    return first + estimate(reasoning, endpoint=reasoner.endpoint, journal=reasoner.journal)


def regenerate(
    answers: Sequence[tuple[Prompt, Response]],
    *,
    connection: Connection,
    seed: int = 0,
    progress: Advance | None = None,
) -> Answers:
    """For each prompt and an answer to it that was found wanting, a new one, in their order."""
    requests = regenerate_requests(answers, connection=connection, seed=seed)
    return _answers(requests, connection=connection, thinking="strip", progress=progress)


def regenerate_requests(
    answers: Sequence[tuple[Prompt, Response]],
    *,
    connection: Connection,
    seed: int = 0,
) -> list[ChatRequest]:
    """What `regenerate` asks, in their order."""
    template = load_template("regenerate")
    return [
        make_request(
            template.fill(conversation=conversation_of(prompt), answer=response.content),
            endpoint=connection.endpoint,
            kind="regenerate",
            seed=seed,
        )
        for prompt, response in answers
    ]


def description_requests(prompts: Sequence[Prompt], *, connection: Connection) -> list[ChatRequest]:
    """What the first of two steps asks, one request a prompt."""
    template = load_template("describe")
    return [
        make_request(
            template.fill(conversation=conversation_of(prompt)),
            endpoint=connection.endpoint,
            kind="describe",
        )
        for prompt in prompts
    ]


def _requests_from_description(
    prompt: Prompt,
    *,
    description: Content,
    connection: Connection,
    num_samples: int = 1,
    seed: int = 0,
) -> list[ChatRequest]:
    """What the second of two steps asks."""
    template = load_template("reason-from-description")
    messages = template.fill(
        conversation=conversation_of(prompt, pictures_as_text=True), description=description
    )
    return [
        make_request(
            messages,
            endpoint=connection.endpoint,
            kind="reason-from-description",
            seed=seed,
            sample=sample,
        )
        for sample in range(num_samples)
    ]


def _describe(
    prompts: Sequence[Prompt],
    *,
    connection: Connection,
    progress: Advance | None,
) -> Answers:
    requests = description_requests(prompts, connection=connection)
    results = ask(requests, connection=connection, progress=progress)
    return [_described(results[request.key]) for request in requests]


def _described(result: Reply | Failure) -> Generated | Failure:
    """The reply as a description; one that was cut would hide what it did not come to."""
    answer = _answer(result, thinking="strip")
    if isinstance(answer, Generated) and answer.is_cut:
        detail = "the description ended at the length limit"
        return Failure(reason="description-cut", detail=detail)
    return answer


def _answers(
    requests: Sequence[ChatRequest],
    *,
    connection: Connection,
    thinking: Thinking,
    progress: Advance | None,
) -> Answers:
    results = ask(requests, connection=connection, progress=progress)
    return [_answer(results[request.key], thinking=thinking) for request in requests]


def _answer(result: Reply | Failure, *, thinking: Thinking) -> Generated | Failure:
    """The reply as an answer; one that only thinks is none, whatever becomes of the thinking."""
    if isinstance(result, Failure):
        return result
    answer = without_thinking(result.text)
    if not answer:
        return Failure(
            reason="thinking-unfinished",
            detail=f"thinking and no answer; finish reason {result.finish_reason!r}",
            attempts=result.attempts,
            time=result.time,
        )
    text = answer if thinking == "strip" else with_thinking(result)
    return Generated(response=Response(content=(text,), model=result.model), is_cut=result.is_cut)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiGenerator:
    """An `interfaces.Generator` that asks one prompt at a time, directly."""

    connection: Connection
    thinking: Thinking = "strip"

    def generate(self, prompt: Prompt, *, num_responses: int, seed: int) -> list[Response]:
        """The answers, the same for the same seed as long as the journal is kept.

        Raises DataError where one of them failed.
        """
        (answers,) = answer_directly(
            [prompt],
            connection=self.connection,
            num_samples=num_responses,
            seed=seed,
            thinking=self.thinking,
        )
        responses = []
        for answer in answers:
            if isinstance(answer, Failure):
                raise no_answer(answer, place="prompt")
            responses.append(answer.response)
        return responses
