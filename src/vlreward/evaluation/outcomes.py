"""What a scorer or judge made of each row of a benchmark."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from vlreward.evaluation.examples import Example


class Vote(NamedTuple):
    """One verdict of a judge.

    `swapped` tells that the second response was shown first. `winner` is the better response's
    index in the row's own order; without one the judge saw no difference, or `failure` says why
    its reply could not be read.
    """

    swapped: bool
    winner: int | None
    failure: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A row's result, with all of the row that arithmetic and statistics ask for.

    A scorer leaves `scores`, one a response; a judge leaves `votes`; where neither could be had,
    `failure` says why. `num_truncated` responses were not read whole. `seconds` and `dollars` are
    what the row took, where that is known.
    """

    id: str
    fingerprint: str
    cluster: str
    group: str
    subset: str
    right: tuple[int, ...]
    num_characters: tuple[int, ...]
    scores: tuple[float, ...] = ()
    votes: tuple[Vote, ...] = ()
    failure: str | None = None
    num_truncated: int = 0
    seconds: float | None = None
    dollars: float | None = None

    def __post_init__(self) -> None:
        kinds = (bool(self.scores), bool(self.votes), self.failure is not None)
        assert sum(kinds) == 1, "a row has scores or votes or a failure"
        assert not self.scores or len(self.scores) == self.num_responses, "a score a response"
        assert all(math.isfinite(score) for score in self.scores), "scores are finite"

    @property
    def num_responses(self) -> int:
        """How many responses there were to choose from."""
        return len(self.num_characters)

    @property
    def is_pair(self) -> bool:
        """Whether it was a comparison of two responses, one of them right."""
        return self.num_responses == 2 and len(self.right) == 1

    @property
    def best(self) -> tuple[int, ...]:
        """The responses with the highest score, or with the most of the votes that name one."""
        if self.scores:
            counts = dict(enumerate(self.scores))
        else:
            named = Counter(vote.winner for vote in self.votes)
            counts = {index: float(n) for index, n in named.items() if index is not None}
        top = max(counts.values(), default=None)
        return tuple(sorted(index for index, value in counts.items() if value == top))

    @property
    def winner(self) -> int | None:
        """The one best response; None on a tie and where there is no verdict."""
        return self.best[0] if len(self.best) == 1 else None

    @property
    def is_tie(self) -> bool:
        """Whether a result is there but names no single best response."""
        undecided = any(vote.failure is None for vote in self.votes) and self.winner is None
        return undecided if self.votes else len(self.best) > 1

    @property
    def margin(self) -> float | None:
        """The lead in score of the best right response over the best wrong one, where both are."""
        wrong = [score for index, score in enumerate(self.scores) if index not in self.right]
        right = [self.scores[index] for index in self.right] if self.scores else []
        return max(right) - max(wrong) if right and wrong else None

    @property
    def num_unparsed(self) -> int:
        """How many of the judge's replies could not be read."""
        return sum(vote.failure is not None for vote in self.votes)


def total(amounts: Iterable[float | None]) -> float | None:
    """The sum of the seconds, or dollars, that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return math.fsum(known) if known else None


def outcome_of(
    example: Example,
    *,
    scores: tuple[float, ...] = (),
    votes: tuple[Vote, ...] = (),
    failure: str | None = None,
    num_truncated: int = 0,
    seconds: float | None = None,
    dollars: float | None = None,
) -> Outcome:
    """The outcome of an example; exactly one of scores, votes and failure is given."""
    return Outcome(
        id=example.id,
        fingerprint=example.fingerprint,
        cluster=example.cluster,
        group=example.group,
        subset=example.subset,
        right=example.right,
        num_characters=example.num_characters,
        scores=scores,
        votes=votes,
        failure=failure,
        num_truncated=num_truncated,
        seconds=seconds,
        dollars=dollars,
    )
