"""How sure a share is, and how far several people who judge the same things agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_Z_95 = 1.959964


class Interval(NamedTuple):
    """A 95 % confidence interval of a share."""

    low: float
    high: float


def wilson_interval(num_right: float, num_all: float) -> Interval:
    """Wilson's score interval at 95 % (Wilson 1927)."""
    share = num_right / num_all
    z2 = _Z_95**2 / num_all
    centre = share + z2 / 2
    spread = _Z_95 * math.sqrt(share * (1 - share) / num_all + z2 / (4 * num_all))
    return Interval(max(0.0, (centre - spread) / (1 + z2)), min(1.0, (centre + spread) / (1 + z2)))


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for nominal values: 1 is full agreement, 0 that of chance.

    A unit is what all its judges said, in any order; units with fewer than two do not count. None
    where nobody could disagree: without such units, or where all say one thing.
    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C.
    """
    totals: Counter[str] = Counter()
    disagreement = 0.0
    for unit in units:
        size = len(unit)
        if size < 2:
            continue
        counts = Counter(unit)
        totals.update(counts)
        disagreement += sum(n * (size - n) for n in counts.values()) / (size - 1)
    num_all = totals.total()
    by_chance = sum(n * (num_all - n) for n in totals.values())
    return 1 - (num_all - 1) * disagreement / by_chance if by_chance else None
