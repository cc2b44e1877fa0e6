"""Whether a verdict stays when what should not matter changes, and changes with the pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.outcomes import Outcome, Vote
from vlreward.evaluation.statistics.bootstrap import NUM_RESAMPLES
from vlreward.evaluation.statistics.paired import Comparison, compare
from vlreward.evaluation.statistics.shares import ClusteredShare, clustered_share


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderConsistency:
    """Over pairs that were judged in both orders, by the majority of each order's readable votes.

    `same` tells how often both orders name one winner, or both none; of the others
    `num_to_first` go with what is shown first, `num_to_second` with what is shown second.
    """

    same: ClusteredShare
    num_to_first: int
    num_to_second: int


def order_consistency(outcomes: Sequence[Outcome]) -> OrderConsistency | None:
    """How often a judge says the same of a pair when its order is turned; None without such."""
    verdicts = []
    for outcome in outcomes:
        readable = [vote for vote in outcome.votes if vote.failure is None]
        as_given = [vote for vote in readable if not vote.swapped]
        swapped = [vote for vote in readable if vote.swapped]
        if outcome.is_pair and as_given and swapped:
            verdicts.append((outcome.cluster, _majority(as_given), _majority(swapped)))
    same = clustered_share((cluster, one == other) for cluster, one, other in verdicts)
    if same is None:
        return None
    return OrderConsistency(
        same=same,
        num_to_first=sum(both == [0, 1] for _, *both in verdicts),
        num_to_second=sum(both == [1, 0] for _, *both in verdicts),
    )


def picture_use(
    outcomes: Sequence[Outcome],
    shuffled: Sequence[Outcome],
    *,
    arithmetic: Arithmetic,
    protocol: str | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Comparison:
    """What right pictures are worth: the figures less those on rows with shuffled pictures.

    `shuffled` are outcomes of `with_shuffled_pictures`; the agreement tells how often the winner
    stays. Raises DataError if no row is in both.
    """
    return compare(
        outcomes,
        shuffled,
        arithmetic=arithmetic,
        protocol=protocol,
        same_content=False,
        seed=seed,
        num_resamples=num_resamples,
    )


def _majority(votes: Sequence[Vote]) -> int | None:
    [(winner, number)] = Counter(vote.winner for vote in votes).most_common(1)
    return winner if number * 2 > len(votes) else None
