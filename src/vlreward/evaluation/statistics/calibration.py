"""Whether margins mean what Bradley and Terry say: the probability σ(margin) against what holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vlreward.evaluation.outcomes import Outcome


class Bin(NamedTuple):
    """Pairs whose winner has a probability from `low` to `high`: its mean, and how many are right.

    A tie is given the probability one half, and counts as half right.
    """

    low: float
    high: float
    num_pairs: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Over scored pairs. `error` is the expected calibration error: the bins' mean distance.

    `loss` is the mean of −log σ(margin), `brier` that of (1 − σ(margin))². Empty bins are left
    out.
    """

    num_pairs: int
    bins: tuple[Bin, ...]
    error: float
    brier: float
    loss: float


def calibration(outcomes: Sequence[Outcome], *, num_bins: int = 10) -> Calibration | None:
    """How well margins are calibrated, in bins of equal width from .5 to 1; None without any."""
    margins = np.array([one.margin for one in outcomes if one.is_pair and one.scores], dtype=float)
    if not margins.size:
        return None
    size = np.abs(margins)
    confidence = 1 / (1 + np.exp(-size))
    is_right = np.where(margins == 0, 0.5, margins > 0)
    place = np.minimum(((confidence - 0.5) * 2 * num_bins).astype(int), num_bins - 1)
    number = np.bincount(place, minlength=num_bins)
    sums = [np.bincount(place, weights=w, minlength=num_bins) for w in (confidence, is_right)]
    bins = tuple(
        Bin(
            0.5 + index * 0.5 / num_bins,
            0.5 + (index + 1) * 0.5 / num_bins,
            int(number[index]),
            float(sums[0][index] / number[index]),
            float(sums[1][index] / number[index]),
        )
        for index in np.flatnonzero(number)
    )
    of_right = np.where(margins >= 0, confidence, 1 - confidence)
    return Calibration(
        num_pairs=margins.size,
        bins=bins,
        error=sum(b.num_pairs * abs(b.confidence - b.accuracy) for b in bins) / margins.size,
        brier=float(np.mean((1 - of_right) ** 2)),
        loss=float(np.mean(np.logaddexp(0, -margins))),
    )
