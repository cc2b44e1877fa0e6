"""Which of two responses is better, by a language model asked in both orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vlreward.generation.client import Connection
from vlreward.generation.outcomes import Failure, no_answer
from vlreward.generation.reading import ask_and_read, last_object
from vlreward.generation.requests import ChatRequest, make_request
from vlreward.generation.templates import Template, conversation_of, load_template
from vlreward.interfaces import Verdict
from vlreward.progress import Advance
from vlreward.records import PreferencePair, Prompt, Response

Better = Literal["first", "second", "equal"]

_SWAPPED: dict[Better, Better] = {"first": "second", "second": "first", "equal": "equal"}
PAIR_SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "better": {"type": "string", "enum": list(_SWAPPED)},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["reason", "better", "confidence"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedPair:
    """What a judge made of a pair; `first` is the pair's chosen response.

    `verdict` is None where an order got no readable verdict or a sample awaits a larger budget, and
    `failure` says why. `votes` are all readable verdicts, those of the first order before those of
    the swapped one.
    """

    verdict: Verdict | None
    failure: Failure | None = None
    votes: tuple[Better, ...] = ()

    @property
    def is_ambiguous(self) -> bool:
        """Whether the judge saw no difference, or another one when the order was swapped."""
        return self.verdict is not None and self.verdict.better == "equal"


def judge_pairs(
    pairs: Sequence[PreferencePair],
    *,
    connection: Connection,
    num_samples: int = 1,
    template: Template | None = None,
    progress: Advance | None = None,
) -> dict[str, JudgedPair]:
    """Asks for every pair in both orders, `num_samples` times each; by `pair.id`.

    An order's verdict is what more than half of its readable samples say, else `equal`. Orders that
    agree make the verdict, with the mean of their confidences; those that do not, or say `equal`,
    make an ambiguous one.
    """
    requests = pair_requests(
        pairs, connection=connection, num_samples=num_samples, template=template
    )
    answers = ask_and_read(
        requests,
        connection=connection,
        read=lambda reply: read_verdict(reply.text),
        unreadable="verdict-unreadable",
        progress=progress,
    )
    out = {}
    for index, pair in enumerate(pairs):
        start = index * 2 * num_samples
        middle, end = start + num_samples, start + 2 * num_samples
        out[pair.id] = combine(answers[start:middle], [_swap(one) for one in answers[middle:end]])
    return out


def pair_requests(
    pairs: Sequence[PreferencePair],
    *,
    connection: Connection,
    num_samples: int = 1,
    template: Template | None = None,
) -> list[ChatRequest]:
    """What `judge_pairs` asks: for each pair the samples in its order, then those swapped."""
    used = template or load_template("judge-pair")
    return [
        make_request(
            used.fill(
                conversation=conversation_of(pair.prompt),
                first=first.content,
                second=second.content,
            ),
            endpoint=connection.endpoint,
            kind="judge-pair",
            json_schema=PAIR_SCHEMA,
            sample=sample,
        )
        for pair in pairs
        for first, second in ((pair.chosen, pair.rejected), (pair.rejected, pair.chosen))
        for sample in range(num_samples)
    ]


def read_verdict(text: str) -> Verdict | None:
    """The verdict that is the text's last JSON object: exactly better, confidence and reason."""
    found = last_object(text)
    if found is None or set(found) != {"better", "confidence", "reason"}:
        return None
    better, confidence, reason = found["better"], found["confidence"], found["reason"]
    if better not in ("first", "second", "equal") or not isinstance(reason, str):
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)):
        return None
    if not 0 <= confidence <= 1:
        return None
    return Verdict(better=better, confidence=float(confidence), rationale=reason)


def combine(
    forward: Sequence[Verdict | Failure], backward: Sequence[Verdict | Failure]
) -> JudgedPair:
    """One judgment from both orders' verdicts, all as seen in the first order."""
    heard = [[one for one in order if isinstance(one, Verdict)] for order in (forward, backward)]
    votes = tuple(one.better for order in heard for one in order)
    for order, verdicts in zip((forward, backward), heard, strict=True):
        failures = [one for one in order if isinstance(one, Failure)]
        unasked = next((one for one in failures if one.reason == "budget"), None)
        if unasked is not None or not verdicts:
            return JudgedPair(verdict=None, failure=unasked or failures[0], votes=votes)
    sides = [_majority(verdicts) for verdicts in heard]
    better = sides[0] if sides[0] == sides[1] else "equal"
    confidences = [_confidence(verdicts, side) for verdicts, side in zip(heard, sides, strict=True)]
    rationale = next((one.rationale for one in heard[0] if one.better == sides[0]), "")
    if sides[0] != sides[1]:
        rationale = f"In one order {sides[0]}, in the other {sides[1]}: {rationale}"
    confidence = math.fsum(confidences) / 2
    verdict = Verdict(better=better, confidence=confidence, rationale=rationale)
    return JudgedPair(verdict=verdict, votes=votes)


def _majority(verdicts: Sequence[Verdict]) -> Better:
    for side in _SWAPPED:
        if 2 * sum(one.better == side for one in verdicts) > len(verdicts):
            return side
    return "equal"


def _confidence(verdicts: Sequence[Verdict], side: Better) -> float:
    """The mean over all samples, one that says otherwise counting as 0."""
    return math.fsum(one.confidence for one in verdicts if one.better == side) / len(verdicts)


def _swap(answer: Verdict | Failure) -> Verdict | Failure:
    if isinstance(answer, Failure):
        return answer
    return Verdict(
        better=_SWAPPED[answer.better],
        confidence=answer.confidence,
        rationale=answer.rationale,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiJudge:
    """An `interfaces.Judge` that asks one pair at a time, in both orders."""

    connection: Connection
    num_samples: int = 1
    template: Template | None = None

    def judge(self, prompt: Prompt, first: Response, second: Response) -> Verdict:
        """The verdict; raises DataError where there is none."""
        pair = PreferencePair(prompt=prompt, chosen=first, rejected=second)
        judged = judge_pairs(
            [pair],
            connection=self.connection,
            num_samples=self.num_samples,
            template=self.template,
        )[pair.id]
        if judged.verdict is None:
            assert judged.failure is not None
            raise no_answer(judged.failure, place=f"pair {pair.id}")
        return judged.verdict
