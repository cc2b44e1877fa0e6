"""A language model that compares two answers, in one or both orders, as often as wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from vlreward.errors import DataError, VlrewardError
from vlreward.evaluation.judges.forms import VerdictForm
from vlreward.evaluation.judges.respondents import Question, Respondent, Said
from vlreward.evaluation.outcomes import Vote, total
from vlreward.evaluation.scorers.config import AnswerOrder
from vlreward.evaluation.scorers.protocols import Ballot, Duel, raising
from vlreward.generation.outcomes import Failure, Reason, no_answer
from vlreward.generation.templates import Template
from vlreward.interfaces import Verdict
from vlreward.progress import Advance
from vlreward.records import PreferencePair, Prompt, Response

_OWN_FAULT: frozenset[Reason] = frozenset({"refusal", "empty"})
"""What a judge did with a question that reached it; all else is no reply at all."""
_UNREADABLE = "verdict-unreadable"


@dataclass(frozen=True, kw_only=True, slots=True)
class PairJudge:
    """An `interfaces.Judge` that keeps its votes.

    The same pair in the same order gets the same votes, whatever else is asked: the random order
    comes of `seed`, the pair's content and the vote's number.
    """

    respondent: Respondent
    form: VerdictForm
    template: Template
    order: AnswerOrder = "both"
    num_votes: int = 1
    seed: int = 0

    def vote_each(
        self, duels: Sequence[Duel], *, progress: Advance | None = None
    ) -> list[Ballot | VlrewardError]:
        """All votes on each pair; a pair to which a question got no reply at all has none.

        A reply that cannot be read, or a refusal, is a vote with its failure.
        """
        plans = [self._orders(duel) for duel in duels]
        questions = [
            self._question(duel, swapped=swapped, sample=sample)
            for duel, plan in zip(duels, plans, strict=True)
            for swapped, sample in plan
        ]
        replies = iter(self.respondent.answer(questions, progress=progress))
        return [self._ballot([(swapped, next(replies)) for swapped, _ in plan]) for plan in plans]

    def judge(self, prompt: Prompt, first: Response, second: Response) -> Verdict:
        """What more than half of the readable votes say, else `equal`.

        `confidence` is the share of those votes. Raises DataError where there is none.
        """
        [ballot] = raising(self.vote_each([(prompt, first, second)]))
        return verdict_of(ballot)

    def _orders(self, duel: Duel) -> list[tuple[bool, int]]:
        """For each vote whether the second answer is shown first, and its number in that order."""
        numbers = range(self.num_votes)
        if self.order == "both":
            return [(swapped, sample) for swapped in (False, True) for sample in numbers]
        if self.order == "random":
            return [(self._coin(duel, sample), sample) for sample in numbers]
        swapped = self.order == "length-parity" and _length(duel) % 2 == 1
        return [(swapped, sample) for sample in numbers]

    def _coin(self, duel: Duel, sample: int) -> bool:
        prompt, first, second = duel
        pair = PreferencePair(prompt=prompt, chosen=first, rejected=second)
        text = f"order:{self.seed}:{pair.id}:{sample}"
        return bool(hashlib.sha256(text.encode()).digest()[0] & 1)

    def _question(self, duel: Duel, *, swapped: bool, sample: int) -> Question:
        prompt, *answers = duel
        first, second = reversed(answers) if swapped else answers
        return Question(
            messages=self.form.ask(prompt, first, second, template=self.template),
            kind=self.form.prompt,
            sample=sample,
            json_schema=self.form.json_schema,
        )

    def _ballot(self, replies: Sequence[tuple[bool, Said | Failure]]) -> Ballot | DataError:
        for _, reply in replies:
            if isinstance(reply, Failure) and reply.reason not in _OWN_FAULT:
                return no_answer(reply, place="judge")
        heard = [reply for _, reply in replies]
        return Ballot(
            votes=tuple(self._vote(reply, swapped=swapped) for swapped, reply in replies),
            seconds=total(one.seconds for one in heard if isinstance(one, Said)),
            dollars=total(one.dollars for one in heard),
        )

    def _vote(self, reply: Said | Failure, *, swapped: bool) -> Vote:
        if isinstance(reply, Failure):
            return Vote(swapped, None, reply.reason)
        better = self.form.read(reply.text)
        if better is None:
            return Vote(swapped, None, _UNREADABLE)
        if better == "equal":
            return Vote(swapped, None)
        return Vote(swapped, int((better == "second") != swapped))


def verdict_of(ballot: Ballot) -> Verdict:
    """The majority of a ballot's readable votes; raises DataError if there are none."""
    winners = [vote.winner for vote in ballot.votes if vote.failure is None]
    if not winners:
        raise DataError(
            "no-readable-vote",
            value=", ".join(str(vote.failure) for vote in ballot.votes),
            place="judge",
            expected="a reply with a verdict",
            mend="Choose another model or form of reply.",
        )
    sides: tuple[tuple[int | None, str], ...] = ((0, "first"), (1, "second"))
    for index, better in sides:
        if winners.count(index) * 2 > len(winners):
            share = winners.count(index) / len(winners)
            return Verdict(better=better, confidence=share)  # type: ignore[arg-type]
    return Verdict(better="equal", confidence=winners.count(None) / len(winners))


def _length(duel: Duel) -> int:
    _, first, second = duel
    return len(first.text) + len(second.text)
