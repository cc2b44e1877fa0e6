"""Shares of rows, or votes, of which those of one prompt are alike more than others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from vlreward.statistics import Interval, wilson_interval


class ClusteredShare(NamedTuple):
    """How many of all hold, and how many independent ones these are worth.

    The interval is Wilson's on `effective`, the number of all by Kish's design effect, never more
    than there are; where all are alike that effect is unknown, and `effective` the number of
    prompts (Franco, Little, Louis and Slud, Comparative Study of Confidence Intervals for
    Proportions in Complex Sample Surveys, 2019).
    """

    num_right: int
    num_all: int
    effective: float

    @property
    def accuracy(self) -> float:
        """From 0 to 1."""
        return self.num_right / self.num_all

    @property
    def interval(self) -> Interval:
        """At 95 %."""
        return wilson_interval(self.accuracy * self.effective, self.effective)

    def as_fields(self) -> dict[str, Any]:
        """Counts, accuracy and interval as JSON values."""
        return {
            "num_right": self.num_right,
            "num_all": self.num_all,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.3f} [{low:.3f}, {high:.3f}]"


def clustered_share(found: Iterable[tuple[str, bool]]) -> ClusteredShare | None:
    """The share of those that hold; each has the cluster it belongs to. None without any."""
    holding: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for cluster, holds in found:
        sizes[cluster] += 1
        holding[cluster] += holds
    num_all, num_right = sizes.total(), holding.total()
    if not num_all:
        return None
    share, num_clusters = num_right / num_all, len(sizes)
    if num_right in (0, num_all) or num_clusters == 1:
        return ClusteredShare(num_right, num_all, float(num_clusters))
    squares = math.fsum((holding[name] - share * size) ** 2 for name, size in sizes.items())
    effect = squares * num_clusters / (num_clusters - 1) / (num_all * share * (1 - share))
    return ClusteredShare(num_right, num_all, num_all / max(1.0, effect))
