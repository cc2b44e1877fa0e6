"""Marks, the unit of all accuracy arithmetic, and their sums by bucket.

Legend of array shapes: C clusters, B buckets; a leading … stands for resamples, or for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vlreward.evaluation.outcomes import Outcome

Array = npt.NDArray[np.float64]


class Bucket(NamedTuple):
    """What a mark counts for. `kind` is rows, or a benchmark's own unit beside them."""

    group: str
    subset: str
    kind: str = "rows"


class Mark(NamedTuple):
    """A credit between 0 and 1; marks of one cluster are resampled together."""

    bucket: Bucket
    cluster: str
    credit: float


def ratio(part: Array, whole: Array) -> Array:
    """One array over another of the same shape; NaN where the second is 0."""
    out: Array = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=out, where=np.asarray(whole) > 0)
    return out


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """The credit and the number of marks of every bucket, arrays […B]."""

    buckets: tuple[Bucket, ...]
    credit: Array
    number: Array

    def share(
        self, *, group: str | None = None, subset: str | None = None, kind: str = "rows"
    ) -> Array:
        """Credit over number […], pooled over the buckets that fit; NaN where there is no mark."""
        chosen = [
            index
            for index, bucket in enumerate(self.buckets)
            if bucket.kind == kind
            and group in (None, bucket.group)
            and subset in (None, bucket.subset)
        ]
        number = self.number[..., chosen].sum(axis=-1)
        credit = self.credit[..., chosen].sum(axis=-1)
        return ratio(credit, number)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of rows, in the order in which they first came."""
        return tuple(dict.fromkeys(one.group for one in self.buckets if one.kind == "rows"))


Formula = Callable[[Sums], Mapping[str, Array]]
"""A benchmark's figures by name, in the order in which they are shown, each of shape […]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkTable:
    """Marks summed by cluster and bucket: `credit` and `number` have the shape [CB]."""

    buckets: tuple[Bucket, ...]
    clusters: tuple[str, ...]
    credit: Array
    number: Array

    @property
    def sums(self) -> Sums:
        """The sums over all clusters."""
        return Sums(
            buckets=self.buckets, credit=self.credit.sum(axis=0), number=self.number.sum(axis=0)
        )

    def weighted(self, times: Array) -> Sums:
        """The sums […B] with every cluster taken as often as `times` […C] says."""
        return Sums(buckets=self.buckets, credit=times @ self.credit, number=times @ self.number)


def tabulate(marks: Iterable[Mark], *, clusters: Sequence[str] | None = None) -> MarkTable:
    """The table of the marks; `clusters` fixes which clusters it has, and their order."""
    given = list(marks)
    buckets = tuple(dict.fromkeys(mark.bucket for mark in given))
    names = tuple(dict.fromkeys(mark.cluster for mark in given) if clusters is None else clusters)
    column = {bucket: index for index, bucket in enumerate(buckets)}
    line = {name: index for index, name in enumerate(names)}
    where = (
        np.array([line[mark.cluster] for mark in given], dtype=np.intp),
        np.array([column[mark.bucket] for mark in given], dtype=np.intp),
    )
    credit, number = np.zeros((len(names), len(buckets))), np.zeros((len(names), len(buckets)))
    np.add.at(credit, where, [mark.credit for mark in given])
    np.add.at(number, where, 1.0)
    return MarkTable(buckets=buckets, clusters=names, credit=credit, number=number)


def marks_of_rows(outcomes: Sequence[Outcome], credits: Sequence[float | None]) -> list[Mark]:
    """One mark a row; a row whose credit is None leaves the denominator."""
    return [
        Mark(Bucket(outcome.group, outcome.subset), outcome.cluster, credit)
        for outcome, credit in zip(outcomes, credits, strict=True)
        if credit is not None
    ]
