"""Intervals by resampling clusters: rows that share a prompt are drawn together.

Legend of array shapes: R resamples, C clusters, B buckets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vlreward.evaluation.accuracy import Accuracy
from vlreward.evaluation.marks import Array, Bucket, MarkTable, Sums
from vlreward.statistics import Interval

NUM_RESAMPLES = 10_000
_ENTRIES_AT_A_TIME = 4_000_000


def intervals(
    accuracy: Accuracy, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> dict[str, Interval | None]:
    """A 95 % percentile interval for every figure; None for one that has no value."""
    drawn = resampled_figures(accuracy, seed=seed, num_resamples=num_resamples)
    return {
        name: None if value is None else percentiles(drawn[name])
        for name, value in accuracy.figures.items()
    }


def resampled_figures(
    accuracy: Accuracy, *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Mapping[str, Array]:
    """Every figure [R] on resampled clusters; NaN where a resample left it no rows.

    The same seed draws the same clusters for every table of as many clusters, so that two are
    resampled as a pair.
    """
    chunks = [
        accuracy.formula(accuracy.table.weighted(times))
        for times in resample(len(accuracy.table.clusters), seed=seed, num_resamples=num_resamples)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in accuracy.figures}


def swapped_differences(
    first: Accuracy, second: Accuracy, *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Mapping[str, Array]:
    """Every figure's difference [R] when the two exchange their results on random clusters.

    Both tables must have the same clusters in the same order. NaN where a draw left no rows.
    """
    buckets = tuple(dict.fromkeys((*first.table.buckets, *second.table.buckets)))
    one, other = (_with_buckets(each.table, buckets) for each in (first, second))
    num_clusters = len(one.clusters)
    generator = np.random.default_rng(seed)
    step = max(1, _ENTRIES_AT_A_TIME // max(num_clusters, 1))
    chunks = []
    for start in range(0, num_resamples, step):
        shape = (min(step, num_resamples - start), num_clusters)
        stays = generator.integers(0, 2, size=shape).astype(np.float64)
        figures = [
            each.formula(_sum_of(a.weighted(stays), b.weighted(1 - stays)))
            for each, a, b in ((first, one, other), (second, other, one))
        ]
        chunks.append({name: figures[0][name] - figures[1][name] for name in _shared(figures)})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _shared(figures: Sequence[Mapping[str, Array]]) -> list[str]:
    return [name for name in figures[0] if name in figures[1]]


def _with_buckets(table: MarkTable, buckets: tuple[Bucket, ...]) -> MarkTable:
    """The table with these buckets, empty where it has none."""
    places = [buckets.index(bucket) for bucket in table.buckets]
    credit, number = (np.zeros((len(table.clusters), len(buckets))) for _ in range(2))
    credit[:, places], number[:, places] = table.credit, table.number
    return MarkTable(buckets=buckets, clusters=table.clusters, credit=credit, number=number)


def _sum_of(one: Sums, other: Sums) -> Sums:
    return Sums(
        buckets=one.buckets, credit=one.credit + other.credit, number=one.number + other.number
    )


def resample(num_clusters: int, *, seed: int, num_resamples: int) -> Iterator[Array]:
    """How often each cluster is drawn, in arrays [RC] whose first lengths add to `num_resamples`.

    Each resample draws as many clusters as there are, with replacement.
    """
    generator = np.random.default_rng(seed)
    step = max(1, _ENTRIES_AT_A_TIME // max(num_clusters, 1))
    for start in range(0, num_resamples, step):
        number = min(step, num_resamples - start)
        drawn = generator.integers(0, max(num_clusters, 1), size=(number, num_clusters))
        places = drawn + np.arange(number)[:, None] * num_clusters
        counts = np.bincount(places.ravel(), minlength=number * num_clusters)
        yield counts.reshape(number, num_clusters).astype(np.float64)


def percentiles(values: Array) -> Interval | None:
    """The middle 95 % of the values that are numbers; None without any."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))
