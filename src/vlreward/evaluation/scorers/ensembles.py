"""Several scorers as one, and several judges as a jury."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlreward.errors import VlrewardError
from vlreward.evaluation.judges.pairs import verdict_of
from vlreward.evaluation.outcomes import total
from vlreward.evaluation.scorers.config import Combination
from vlreward.evaluation.scorers.protocols import (
    Ballot,
    Comparison,
    Duel,
    PatientScorer,
    VotingJudge,
    raising,
)
from vlreward.interfaces import Verdict
from vlreward.progress import Advance
from vlreward.records import Prompt, Response, Score


class Scale(NamedTuple):
    """The mean and spread of a member's rewards, which are taken off and divided by."""

    mean: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleScorer(PatientScorer):
    """An `interfaces.Scorer` of others' scores.

    `mean-minus-variance` takes `variance_weight` times the variance between the members off, so
    that an answer they disagree on counts less (Coste et al. 2023, arXiv 2310.02743).
    """

    members: tuple[PatientScorer, ...]
    scales: tuple[Scale, ...]
    combine: Combination = "mean"
    variance_weight: float = 1.0

    def score_each(
        self, comparisons: Iterable[Comparison]
    ) -> Iterator[list[Score] | VlrewardError]:
        """See `PatientScorer`; a row that one member cannot score has no score."""
        given = list(comparisons)
        for outcomes in zip(*(member.score_each(given) for member in self.members), strict=True):
            yield self._combined(outcomes)

    def _combined(
        self, outcomes: Sequence[list[Score] | VlrewardError]
    ) -> list[Score] | VlrewardError:
        rows: list[list[Score]] = []
        for outcome in outcomes:
            if isinstance(outcome, VlrewardError):
                return outcome
            rows.append(outcome)
        return [
            Score(
                value=self._value(
                    [(s.value - m) / d for s, (m, d) in zip(scores, self.scales, strict=True)]
                ),
                num_tokens=max(one.num_tokens for one in scores),
                truncated_tokens=max(one.truncated_tokens for one in scores),
                dollars=total(one.dollars for one in scores),
            )
            for scores in zip(*rows, strict=True)
        ]

    def _value(self, values: Sequence[float]) -> float:
        if self.combine == "worst":
            return min(values)
        mean = statistics.fmean(values)
        if self.combine == "mean":
            return mean
        return mean - self.variance_weight * statistics.pvariance(values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Jury:
    """An `interfaces.Judge` whose votes are those of all its members, in their order."""

    members: tuple[VotingJudge, ...]

    def vote_each(
        self, duels: Sequence[Duel], *, progress: Advance | None = None
    ) -> list[Ballot | VlrewardError]:
        """See `VotingJudge`; a pair on which one member has no ballot has none."""
        heard = [member.vote_each(duels, progress=progress) for member in self.members]
        return [_pooled(ballots) for ballots in zip(*heard, strict=True)]

    def judge(self, prompt: Prompt, first: Response, second: Response) -> Verdict:
        """What more than half of all readable votes say, else `equal`."""
        [ballot] = raising(self.vote_each([(prompt, first, second)]))
        return verdict_of(ballot)


def _pooled(ballots: Sequence[Ballot | VlrewardError]) -> Ballot | VlrewardError:
    known: list[Ballot] = []
    for ballot in ballots:
        if isinstance(ballot, VlrewardError):
            return ballot
        known.append(ballot)
    return Ballot(
        votes=tuple(vote for ballot in known for vote in ballot.votes),
        seconds=total(ballot.seconds for ballot in known),
        dollars=total(ballot.dollars for ballot in known),
    )
