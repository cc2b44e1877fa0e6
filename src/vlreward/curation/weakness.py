"""Which pairs are weak by their scores: a chosen answer with a low one, or a small margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vlreward.curation.surrogate import Scored
from vlreward.errors import require


class Lines(NamedTuple):
    """Up to which chosen score and which margin a fold's rows are weak."""

    chosen: float
    margin: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Weakness:
    """Weak are the lowest scores of chosen answers and the smallest margins.

    Scores of two models have different zeros and units, so shares are taken within each fold,
    whose rows one model has scored. A row without scores is not weak.
    """

    chosen_quantile: float = 0.1
    """The share of a fold's rows that are weak for the score of their chosen answer; 0 for none."""
    margin_quantile: float = 0.1
    """The share of a fold's rows that are weak for their margin; 0 for none."""
    min_margin: float | None = None
    """Margins below this are weak too, on the models' own scale: with 0, all pairs whose label the
    surrogate contradicts."""

    def __post_init__(self) -> None:
        for name in ("chosen_quantile", "margin_quantile"):
            value = getattr(self, name)
            require(0 <= value <= 1, place=name, value=value, expected="a share from 0 to 1")
        require(
            bool(self.chosen_quantile or self.margin_quantile or self.min_margin is not None),
            place="chosen_quantile, margin_quantile and min_margin",
            value="none",
            expected="one of them",
        )

    @property
    def max_share(self) -> float:
        """The most rows that can be weak, as a share of all."""
        if self.min_margin is not None:
            return 1.0
        return min(1.0, self.chosen_quantile + self.margin_quantile)

    def lines(self, scores: Sequence[Scored]) -> dict[int, Lines]:
        """The lines of each fold that has scores; minus infinity where no row is weak."""
        by_fold: dict[int, list[Scored]] = {}
        for one in scores:
            if one.margin is not None:
                by_fold.setdefault(one.fold, []).append(one)
        return {
            fold: Lines(
                chosen=_line([one.chosen or 0.0 for one in own], self.chosen_quantile),
                margin=_line([one.margin or 0.0 for one in own], self.margin_quantile),
            )
            for fold, own in sorted(by_fold.items())
        }

    def is_low(self, one: Scored, lines: Mapping[int, Lines]) -> bool:
        """Whether the chosen answer's score is weak."""
        return one.chosen is not None and one.chosen <= lines[one.fold].chosen

    def is_narrow(self, one: Scored, lines: Mapping[int, Lines]) -> bool:
        """Whether the margin is weak."""
        if one.margin is None:
            return False
        is_below = self.min_margin is not None and one.margin < self.min_margin
        return is_below or one.margin <= lines[one.fold].margin


def _line(values: Sequence[float], quantile: float) -> float:
    if not quantile:
        return -math.inf
    return float(np.quantile(values, quantile, method="inverted_cdf"))
