"""The judge: which of two known answers is better, how good one is, or what a question is about."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from vlreward.world.endpoint.config import WorldEndpointConfig
from vlreward.world.endpoint.draws import draw
from vlreward.world.endpoint.phrases import Phrases
from vlreward.world.endpoint.protocol import ChatRequest, RequestError
from vlreward.world.endpoint.truth import FIELDS, RANKS, Problem, WorldTruth

_RATINGS = {4: 10, 3: 7, 2: 5, 1: 2}
"""Ratings by rank; 11 less a rating is the opposite one."""
_NUM_ANSWERS = {"better": 2, "rating": 1, "score": 1, "field": 0}
"""What a verdict can say, and of how many answers."""
_FIELD_WORDS = re.compile(r"\bfield of study\b", re.IGNORECASE)
_RATING_WORDS = re.compile(r"\b(rate|rating|score)\b", re.IGNORECASE)
_THOUGHTS = re.compile(r"<think>((?!<think>).)*?</think>", re.DOTALL)
_CLOSING = frozenset("\n\r<\"'`“”’»*]})|")

_Verdict = dict[str, str | int | float]


def judge(
    request: ChatRequest, truth: WorldTruth, config: WorldEndpointConfig, *, choice: int
) -> str:
    """The reply to a request to compare two answers, to rate one from 1 to 10, or to name a field.

    It is JSON where the request asks for it, else a line a field: `better` (first, second or
    equal) or `rating`, then `confidence` and `reason`; of these the ones that a schema has, which
    may say `score` for `rating`. A field of study is `field` and `reason`. Without a schema a
    field of study is named and one answer rated if the words ask for that, and two are compared.
    Raises RequestError for a schema with none of the four.
    """
    seen = _look(request, truth)
    field = _field(request, seen)
    answers = seen.answers(_NUM_ANSWERS[field])
    if seen.problem is None or len(answers) < _NUM_ANSWERS[field]:
        verdict = _unsure(field)
    else:
        case: tuple[object, ...] = (request.digest, choice)
        if config.judge_errors == "pair":
            case = (*request.pictures, seen.problem.text, *sorted(answers))
        rng = draw(config.error_seed, "judge", *case)
        errs = rng.random() < config.judge.error_rate
        if field == "better":
            verdict = _compare(seen.problem, answers, rng, errs=errs)
        elif field == "field":
            verdict = _name_field(seen.problem, errs=errs)
        else:
            verdict = _rate(seen.problem, answers[0], rng, field=field, errs=errs)
    if request.properties:
        verdict = {name: value for name, value in verdict.items() if name in request.properties}
    if request.wants_json or "json" in request.text.lower():
        return json.dumps(verdict)
    return "\n".join(f"{name}: {value}" for name, value in verdict.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What a request is about and the known answers in it, in order, but for those in thoughts.

    What stands apart is followed by a line's end or a closing sign: "1." may be an answer, or the
    number of a row in a list.
    """

    problem: Problem | None = None
    apart: Sequence[str] = ()
    all: Sequence[str] = ()

    def answers(self, count: int) -> Sequence[str]:
        """The first ones, apart if so many are; none if fewer are known."""
        answers = (self.apart if len(self.apart) >= count else self.all)[:count]
        return answers if len(answers) == count else ()


def _look(request: ChatRequest, truth: WorldTruth) -> _Seen:
    text = _THOUGHTS.sub("", request.text)
    about = truth.find(request.pictures, text)
    if about is None:
        return _Seen()
    found = Phrases(about.problem.qualities).find(text, start=about.end)
    return _Seen(
        problem=about.problem,
        apart=[one.phrase for one in found if text[one.end : one.end + 1] in {"", *_CLOSING}],
        all=[one.phrase for one in found],
    )


def _field(request: ChatRequest, seen: _Seen) -> str:
    """Which field of the verdict is asked for: better, rating, score or field."""
    if request.properties:
        for name in _NUM_ANSWERS:
            if name in request.properties:
                return name
        raise RequestError(
            "unsupported-schema",
            value=", ".join(sorted(request.properties)),
            place="response_format.json_schema.schema.properties",
            expected="better, rating, score or field, which world-judge can fill in",
            mend="Change the schema's fields.",
        )
    if _FIELD_WORDS.search(request.text):
        return "field"
    is_rating = len(seen.apart) < 2 and _RATING_WORDS.search(request.text)
    return "rating" if is_rating else "better"


def _unsure(field: str) -> _Verdict:
    reason = "I do not know the question or not all of the answers, so I cannot tell."
    if field == "field":
        return {field: FIELDS[-1], "reason": reason}
    return {field: "equal" if field == "better" else 5, "confidence": 0.0, "reason": reason}


def _compare(problem: Problem, answers: Sequence[str], rng: Random, *, errs: bool) -> _Verdict:
    """An error takes the worse answer for the better one, and prefers one of two equals.

    It is the same error in both orders if the generator is.
    """
    first, second = answers
    difference = RANKS[problem.qualities[first]] - RANKS[problem.qualities[second]]
    if errs and difference:
        difference = -difference
    elif errs and first != second:
        difference = 1 if rng.choice(sorted(answers)) == first else -1
    if not difference:
        return {"better": "equal", "confidence": 0.5, "reason": "Both answers are as good."}
    better, worse = ("first", "second") if difference > 0 else ("second", "first")
    reason = f"The {better} answer says what can be seen better than the {worse} one."
    return {"better": better, "confidence": _confidence(rng, errs=errs), "reason": reason}


def _rate(problem: Problem, answer: str, rng: Random, *, field: str, errs: bool) -> _Verdict:
    rating = _RATINGS[RANKS[problem.qualities[answer]]]
    rating = 11 - rating if errs else rating
    reason = f"The answer is {'good' if rating > 5 else 'poor'}."
    return {field: rating, "confidence": _confidence(rng, errs=errs), "reason": reason}


def _name_field(problem: Problem, *, errs: bool) -> _Verdict:
    field = next(one for one in FIELDS if (one == problem.field) != errs)
    return {"field": field, "reason": f"What one has to know is {field}."}


def _confidence(rng: Random, *, errs: bool) -> float:
    """Lower on average where the judge errs, as a calibrated judge's is."""
    return round(rng.uniform(0.5, 0.9) if errs else rng.uniform(0.7, 1.0), 2)
