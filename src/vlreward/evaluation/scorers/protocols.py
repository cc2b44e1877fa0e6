"""What a benchmark asks of scorers and judges beyond the seams: one bad row harms no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from vlreward.errors import VlrewardError
from vlreward.evaluation.outcomes import Vote
from vlreward.interfaces import Judge, Scorer
from vlreward.progress import Advance
from vlreward.records import Prompt, Response, Score

Comparison = tuple[Prompt, Sequence[Response]]
Duel = tuple[Prompt, Response, Response]
Result = TypeVar("Result")


class Ballot(NamedTuple):
    """What a judge said of two responses, the votes in the order in which they were asked for.

    `seconds` and `dollars` are what all replies together took, where that is known.
    """

    votes: tuple[Vote, ...]
    seconds: float | None = None
    dollars: float | None = None


@runtime_checkable
class PatientScorer(Scorer, Protocol):
    """A `Scorer` that `isinstance` can tell from a judge.

    Who inherits from it has `score_many` from `score_each`.
    """

    def score_many(self, comparisons: Iterable[Comparison]) -> Iterator[list[Score]]:
        """See `Scorer`; raises the error of the first comparison that cannot be scored."""
        return raising(self.score_each(comparisons))


@runtime_checkable
class VotingJudge(Judge, Protocol):
    """A judge whose every vote is kept, so that each protocol can count in its own way."""

    def vote_each(
        self, duels: Sequence[Duel], *, progress: Advance | None = None
    ) -> list[Ballot | VlrewardError]:
        """Of each pair of responses all votes, or why there are none; in the order given."""
        ...


def raising(outcomes: Iterable[Result | VlrewardError]) -> Iterator[Result]:
    """The outcomes up to the first error, which is raised."""
    for outcome in outcomes:
        if isinstance(outcome, VlrewardError):
            raise outcome
        yield outcome
