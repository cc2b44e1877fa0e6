"""The four models: what each replies to a request."""

from __future__ import annotations

from random import Random

from vlreward.world.answers import refuse
from vlreward.world.endpoint.config import WorldEndpointConfig
from vlreward.world.endpoint.draws import draw
from vlreward.world.endpoint.judge import judge
from vlreward.world.endpoint.protocol import ChatRequest, RequestError
from vlreward.world.endpoint.truth import Problem, Solution, Subject, WorldTruth

_UNKNOWN_QUESTION = "I am sorry, but I do not know the answer to that."
_UNKNOWN_PICTURE = "I am sorry, but I cannot make out what this shows."


def reply(request: ChatRequest, truth: WorldTruth, config: WorldEndpointConfig) -> tuple[str, ...]:
    """One text a choice, the same whenever the same is asked.

    Raises RequestError if JSON is asked of a model other than the judge, and where `judge` does.
    """
    choices = range(request.num_choices)
    if request.model == "world-judge":
        return tuple(judge(request, truth, config, choice=choice) for choice in choices)
    if request.wants_json:
        raise RequestError(
            "unsupported-format",
            value="JSON",
            place="response_format",
            expected=f"none: of the world's models only world-judge, not {request.model}, has one",
            mend="Leave it out.",
        )
    return tuple(_say(request, truth, config, choice=choice) for choice in choices)


def _say(
    request: ChatRequest, truth: WorldTruth, config: WorldEndpointConfig, *, choice: int
) -> str:
    rng = draw(config.error_seed, request.model, request.digest, choice)
    errs = rng.random() < config.role(request.model).error_rate
    if request.model == "world-describer":
        return _describe(request, truth, rng, errs=errs)
    if request.model == "world-vlm":
        return _answer(request, truth, rng, errs=errs)
    return _reason(request, truth, rng, errs=errs)


def _answer(request: ChatRequest, truth: WorldTruth, rng: Random, *, errs: bool) -> str:
    """A concise answer to a question about the pictures, or to one without any."""
    about = truth.find(request.pictures, request.text)
    if about is None:
        return _UNKNOWN_QUESTION
    return rng.choice(_solution(about.problem, rng, errs=errs).texts)


def _describe(request: ChatRequest, truth: WorldTruth, rng: Random, *, errs: bool) -> str:
    """Everything that can be seen; an error gives one fact another subject's place."""
    subject = truth.shown(request.pictures)
    if subject is None or not subject.facts:
        return _UNKNOWN_PICTURE
    return " ".join(_with_fault(subject, truth, rng) if errs else subject.facts)


def _with_fault(subject: Subject, truth: WorldTruth, rng: Random) -> tuple[str, ...]:
    """The facts, one of them replaced by a sibling's other one, or left out if there is none."""
    facts = subject.facts
    place = rng.randrange(len(facts))
    siblings = truth.siblings(subject)
    sibling = rng.choice(siblings).facts if siblings else ()
    strange = [fact for fact in sibling if fact not in facts]
    replaced = (rng.choice(strange),) if strange else ()
    return (*facts[:place], *replaced, *facts[place + 1 :])


def _reason(request: ChatRequest, truth: WorldTruth, rng: Random, *, errs: bool) -> str:
    """Steps in `<think>…</think>`, then an answer from what is described, pictures unseen.

    It is right for the subject whose facts were told if all were, and else wrong.
    """
    told = truth.read(request.text)
    if told is None:
        return f"<think>This was not described.</think>\n{_UNKNOWN_QUESTION}"
    solution = _solution(told.problem, rng, errs=errs or told.share < 1)
    steps = " ".join(solution.steps or told.subject.facts) or "This I know."
    return f"<think>{steps}</think>\n{rng.choice(solution.short)}"


def _solution(problem: Problem, rng: Random, *, errs: bool) -> Solution:
    """The right one, or a wrong one; a refusal where none is known."""
    if not errs:
        return problem.right
    return rng.choice(problem.wrong or [Solution(short=(refuse(rng.getrandbits(16)),))])
