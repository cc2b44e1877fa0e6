"""All that is said of one model on one benchmark: figures with intervals, and what they rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from vlreward.evaluation.accuracy import Accuracy, Arithmetic, measure
from vlreward.evaluation.marks import Array, Bucket, Sums
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.statistics.bias import (
    LengthBias,
    PositionBias,
    length_bias,
    position_bias,
)
from vlreward.evaluation.statistics.bootstrap import NUM_RESAMPLES, intervals
from vlreward.evaluation.statistics.calibration import Calibration, calibration
from vlreward.evaluation.statistics.consistency import (
    OrderConsistency,
    order_consistency,
    picture_use,
)
from vlreward.evaluation.statistics.cost import Cost, cost
from vlreward.evaluation.statistics.paired import Comparison
from vlreward.evaluation.statistics.shares import ClusteredShare
from vlreward.statistics import Interval


class BucketFigure(NamedTuple):
    """A subset's accuracy; `number` counts its marks, as a rule rows."""

    bucket: Bucket
    number: int
    value: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What outcomes add up to. `failures` and `unread` count rows and replies by reason.

    Statistics that do not apply are None; `pictures` is there where pictures were shuffled.
    """

    accuracy: Accuracy
    intervals: Mapping[str, Interval | None]
    buckets: tuple[BucketFigure, ...]
    failures: Mapping[str, int]
    unread: Mapping[str, int]
    length: LengthBias
    position: PositionBias | None
    order: OrderConsistency | None
    calibration: Calibration | None
    pictures: Comparison | None
    cost: Cost

    def as_fields(self) -> dict[str, Any]:
        """All of it as JSON values; shares are between 0 and 1."""
        accuracy = self.accuracy
        return {
            "main": accuracy.main,
            "protocol": accuracy.protocol,
            "figures": {
                name: {"value": value, "interval": plain(self.intervals[name])}
                for name, value in accuracy.figures.items()
            },
            "buckets": [
                {
                    **one.bucket._asdict(),
                    "number": one.number,
                    "value": one.value,
                    "interval": plain(one.interval),
                }
                for one in self.buckets
            ],
            "counts": plain(accuracy.tally),
            "failures": dict(self.failures),
            "unread_replies": dict(self.unread),
            "length_bias": plain(self.length),
            "position_bias": plain(self.position),
            "order_consistency": plain(self.order),
            "calibration": plain(self.calibration),
            "picture_use": plain(self.pictures),
            "cost": plain(self.cost),
        }


def summarise(
    outcomes: Sequence[Outcome],
    *,
    arithmetic: Arithmetic,
    protocol: str | None = None,
    shuffled: Sequence[Outcome] | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Result:
    """Sums outcomes up; `shuffled` are those of rows with other rows' pictures.

    Raises ConfigError on an unknown protocol.
    """
    accuracy = measure(outcomes, arithmetic=arithmetic, protocol=protocol)
    is_judged = any(one.votes for one in outcomes)
    return Result(
        accuracy=accuracy,
        intervals=intervals(accuracy, seed=seed, num_resamples=num_resamples),
        buckets=_buckets(accuracy, seed=seed, num_resamples=num_resamples),
        failures=_counted([one.failure for one in outcomes]),
        unread=_counted([vote.failure for one in outcomes for vote in one.votes]),
        length=length_bias(outcomes),
        position=position_bias(outcomes) if is_judged else None,
        order=order_consistency(outcomes),
        calibration=calibration(outcomes),
        pictures=picture_use(
            outcomes,
            shuffled,
            arithmetic=arithmetic,
            protocol=protocol,
            seed=seed,
            num_resamples=num_resamples,
        )
        if shuffled
        else None,
        cost=cost(outcomes),
    )


def plain(value: Any) -> Any:
    """Dataclasses and named tuples as JSON objects, paths as texts; a share tells its accuracy."""
    if isinstance(value, ClusteredShare):
        return value.as_fields()
    if isinstance(value, Interval):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _buckets(accuracy: Accuracy, *, seed: int, num_resamples: int) -> tuple[BucketFigure, ...]:
    buckets = accuracy.table.buckets
    named = {str(index): bucket for index, bucket in enumerate(buckets)}

    def formula(sums: Sums) -> dict[str, Array]:
        return {
            name: sums.share(group=one.group, subset=one.subset, kind=one.kind)
            for name, one in named.items()
        }

    shares = {name: accuracy.buckets[bucket] for name, bucket in named.items()}
    drawn = intervals(
        replace(accuracy, formula=formula, figures=shares), seed=seed, num_resamples=num_resamples
    )
    numbers = accuracy.table.sums.number
    return tuple(
        BucketFigure(bucket, int(number), shares[name], drawn[name])
        for (name, bucket), number in zip(named.items(), numbers, strict=True)
    )


def _counted(reasons: Sequence[str | None]) -> dict[str, int]:
    return dict(Counter(one for one in reasons if one is not None).most_common())
