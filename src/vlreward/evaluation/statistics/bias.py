"""What a scorer or judge is drawn to beside quality: length, and the place where it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.statistics.shares import ClusteredShare, clustered_share
from vlreward.extras import import_extra


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthBias:
    """Over pairs whose responses differ in length; a share without rows is None.

    `prefers_longer` and the two accuracies are of the rows with a winner: a tie says nothing of
    what somebody is drawn to. Without a bias `prefers_longer` is near `longer_is_right`, and the
    accuracies are near each other. `correlation` is Spearman's, between the differences in score
    and in length.
    """

    longer_is_right: ClusteredShare | None
    prefers_longer: ClusteredShare | None
    right_where_longer: ClusteredShare | None
    right_where_shorter: ClusteredShare | None
    correlation: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionBias:
    """Over a judge's votes that name a winner; without a bias `prefers_first` is near one half."""

    prefers_first: ClusteredShare | None
    right_where_first: ClusteredShare | None
    right_where_second: ClusteredShare | None


def length_bias(outcomes: Sequence[Outcome]) -> LengthBias:
    """Whether longer responses win more often than they should; length is in characters."""
    pairs = [
        one
        for one in outcomes
        if one.is_pair and one.failure is None and one.num_characters[0] != one.num_characters[1]
    ]
    decided = [one for one in pairs if one.winner is not None]
    return LengthBias(
        longer_is_right=clustered_share((one.cluster, _longer(one) in one.right) for one in pairs),
        prefers_longer=clustered_share(
            (one.cluster, one.winner == _longer(one)) for one in decided
        ),
        right_where_longer=_right(one for one in decided if _longer(one) in one.right),
        right_where_shorter=_right(one for one in decided if _longer(one) not in one.right),
        correlation=_correlation(pairs),
    )


def position_bias(outcomes: Sequence[Outcome]) -> PositionBias:
    """Whether a judge prefers what it is shown first."""
    votes = [
        (one.cluster, vote.winner == shown_first, shown_first in one.right)
        for one in outcomes
        if one.is_pair
        for vote in one.votes
        for shown_first in (int(vote.swapped),)
        if vote.winner is not None
    ]
    return PositionBias(
        prefers_first=clustered_share((cluster, first) for cluster, first, _ in votes),
        right_where_first=clustered_share(
            (cluster, first) for cluster, first, is_right in votes if is_right
        ),
        right_where_second=clustered_share(
            (cluster, not first) for cluster, first, is_right in votes if not is_right
        ),
    )


def _longer(pair: Outcome) -> int:
    return int(pair.num_characters[1] > pair.num_characters[0])


def _right(decided: Iterable[Outcome]) -> ClusteredShare | None:
    return clustered_share((one.cluster, one.winner in one.right) for one in decided)


def _correlation(pairs: Sequence[Outcome]) -> float | None:
    scored = [one for one in pairs if one.scores]
    by_score = np.array([one.scores[0] - one.scores[1] for one in scored])
    by_length = np.array([one.num_characters[0] - one.num_characters[1] for one in scored])
    if len(scored) < 3 or np.ptp(by_score) == 0 or np.ptp(by_length) == 0:
        return None
    stats = import_extra("scipy.stats", extra="eval")
    return float(stats.spearmanr(by_score, by_length).statistic)
