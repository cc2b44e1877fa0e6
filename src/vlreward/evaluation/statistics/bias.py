"""What a scorer or judge is drawn to beside quality: length, and the place where it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlreward.evaluation.outcomes import Outcome
from vlreward.extras import import_extra
from vlreward.training.validation import Share


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthBias:
    """Over pairs whose responses differ in length; a share without rows is None.

    `prefers_longer` and the two accuracies are of the rows with a winner: a tie says nothing of
    what somebody is drawn to. Without a bias `prefers_longer` is near `longer_is_right`, and the
    accuracies are near each other. `correlation` is Spearman's, between the differences in score
    and in length. Intervals are Wilson's, which take each row, or vote, for itself.
    """

    longer_is_right: Share | None
    prefers_longer: Share | None
    right_where_longer: Share | None
    right_where_shorter: Share | None
    correlation: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionBias:
    """Over a judge's votes that name a winner; without a bias `prefers_first` is near one half."""

    prefers_first: Share | None
    right_where_first: Share | None
    right_where_second: Share | None


def length_bias(outcomes: Sequence[Outcome]) -> LengthBias:
    """Whether longer responses win more often than they should; length is in characters."""
    pairs = [
        one
        for one in outcomes
        if one.is_pair and one.failure is None and one.num_characters[0] != one.num_characters[1]
    ]
    longer = [int(one.num_characters[1] > one.num_characters[0]) for one in pairs]
    are_longer = [index in one.right for one, index in zip(pairs, longer, strict=True)]
    decided = [
        (one.winner in one.right, is_longer)
        for one, is_longer in zip(pairs, are_longer, strict=True)
        if one.winner is not None
    ]
    return LengthBias(
        longer_is_right=_share(are_longer),
        prefers_longer=_share(
            [o.winner == i for o, i in zip(pairs, longer, strict=True) if o.winner is not None]
        ),
        right_where_longer=_share([right for right, is_longer in decided if is_longer]),
        right_where_shorter=_share([right for right, is_longer in decided if not is_longer]),
        correlation=_correlation(pairs),
    )


def position_bias(outcomes: Sequence[Outcome]) -> PositionBias:
    """Whether a judge prefers what it is shown first."""
    votes = [
        (vote.winner == shown_first, shown_first in one.right)
        for one in outcomes
        if one.is_pair
        for vote in one.votes
        for shown_first in (int(vote.swapped),)
        if vote.winner is not None
    ]
    return PositionBias(
        prefers_first=_share([chose_first for chose_first, _ in votes]),
        right_where_first=_share([chose for chose, is_right in votes if is_right]),
        right_where_second=_share([not chose for chose, is_right in votes if not is_right]),
    )


def _correlation(pairs: Sequence[Outcome]) -> float | None:
    scored = [one for one in pairs if one.scores]
    by_score = np.array([one.scores[0] - one.scores[1] for one in scored])
    by_length = np.array([one.num_characters[0] - one.num_characters[1] for one in scored])
    if len(scored) < 3 or np.ptp(by_score) == 0 or np.ptp(by_length) == 0:
        return None
    stats = import_extra("scipy.stats", extra="eval")
    return float(stats.spearmanr(by_score, by_length).statistic)


def _share(found: Sequence[bool]) -> Share | None:
    return Share.of(found) if found else None
