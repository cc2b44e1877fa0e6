"""What an evaluation took: time and money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlreward.evaluation.outcomes import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """A quantity over the rows for which it is known: sum, mean, median and 95th percentile."""

    num_rows: int
    total: float
    mean: float
    median: float
    percentile_95: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Seconds and dollars, None where no row tells them.

    Rows that ran beside each other have their seconds added all the same.
    """

    seconds: Spent | None
    dollars: Spent | None


def cost(outcomes: Sequence[Outcome]) -> Cost:
    """Sums up what the outcomes say of their cost."""
    return Cost(
        seconds=_spent([one.seconds for one in outcomes if one.seconds is not None]),
        dollars=_spent([one.dollars for one in outcomes if one.dollars is not None]),
    )


def _spent(values: Sequence[float]) -> Spent | None:
    if not values:
        return None
    return Spent(
        num_rows=len(values),
        total=float(np.sum(values)),
        mean=float(np.mean(values)),
        median=float(np.median(values)),
        percentile_95=float(np.percentile(values, 95)),
    )
