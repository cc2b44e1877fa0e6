"""Two scorers or judges on the same rows: is one better, and by how much?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vlreward.errors import DataError
from vlreward.evaluation.accuracy import Arithmetic, measure
from vlreward.evaluation.grading import grade
from vlreward.evaluation.marks import Array
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.statistics.bootstrap import (
    NUM_RESAMPLES,
    percentiles,
    resampled_figures,
    swapped_differences,
)
from vlreward.evaluation.statistics.shares import ClusteredShare, clustered_share
from vlreward.extras import import_extra
from vlreward.statistics import Interval

_ROUNDING = 1e-9


class Difference(NamedTuple):
    """A figure of the first less that of the second, with a 95 % interval and a two-sided p.

    The interval is bootstrapped. p is that of a permutation test: the two exchange their results on
    prompts drawn at random, so that few prompts never make it small.
    """

    value: float
    interval: Interval | None
    p_value: float


class McNemar(NamedTuple):
    """Rows on which just one of the two does better, and the exact two-sided p of such a split."""

    num_first_better: int
    num_second_better: int
    p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The first against the second on the rows that both have.

    `num_unmatched` rows are in one alone; `agreement` is how often both name one winner, or none,
    of the rows that have a result in both; None without such rows.
    """

    num_rows: int
    num_unmatched: int
    differences: Mapping[str, Difference]
    mcnemar: McNemar
    agreement: ClusteredShare | None


def compare(
    first: Sequence[Outcome],
    second: Sequence[Outcome],
    *,
    arithmetic: Arithmetic,
    protocol: str | None = None,
    same_content: bool = True,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Comparison:
    """Compares two sets of outcomes row by row, matched by id.

    Rows of one id must have the same content, unless `same_content` is off, for a control whose
    rows were changed on purpose. Raises DataError if they do not, or no row is in both.
    """
    ones, others = _matched(first, second, same_content=same_content)
    found = [measure(rows, arithmetic=arithmetic, protocol=protocol) for rows in (ones, others)]
    one, other = (
        resampled_figures(accuracy, seed=seed, num_resamples=num_resamples) for accuracy in found
    )
    swapped = swapped_differences(*found, seed=seed, num_resamples=num_resamples)
    differences = {}
    for name, value in found[0].figures.items():
        against = found[1].figures.get(name)
        if value is not None and against is not None:
            differences[name] = Difference(
                value - against,
                percentiles(one[name] - other[name]),
                _p_value(value - against, swapped[name]),
            )
    rules = arithmetic.protocol(protocol)
    return Comparison(
        num_rows=len(ones),
        num_unmatched=len(first) + len(second) - 2 * len(ones),
        differences=differences,
        mcnemar=mcnemar(grade(ones, protocol=rules), grade(others, protocol=rules)),
        agreement=_agreement(ones, others),
    )


def _agreement(ones: Sequence[Outcome], others: Sequence[Outcome]) -> ClusteredShare | None:
    return clustered_share(
        (one.cluster, one.best == other.best)
        for one, other in zip(ones, others, strict=True)
        if one.failure is None and other.failure is None
    )


def mcnemar(first: Sequence[float | None], second: Sequence[float | None]) -> McNemar:
    """McNemar's exact test on the rows that both have a credit for (`scipy.stats.binomtest`).

    A row on which one has more credit speaks for that one, equal credit for neither.
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    num_first, num_second = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    if num_first + num_second == 0:
        return McNemar(0, 0, 1.0)
    stats = import_extra("scipy.stats", extra="eval")
    p_value = stats.binomtest(num_first, num_first + num_second, 0.5).pvalue
    return McNemar(num_first, num_second, float(p_value))


def _p_value(value: float, swapped: Array) -> float:
    """How often a difference is at least as great where it is chance who is who; two-sided."""
    known = swapped[~np.isnan(swapped)]
    as_great = np.count_nonzero(np.abs(known) >= abs(value) - _ROUNDING)
    return (1 + int(as_great)) / (1 + known.size)


def _matched(
    first: Sequence[Outcome], second: Sequence[Outcome], *, same_content: bool
) -> tuple[list[Outcome], list[Outcome]]:
    by_id = {outcome.id: outcome for outcome in second}
    ones = [outcome for outcome in first if outcome.id in by_id]
    others = [by_id[outcome.id] for outcome in ones]
    changed = [a.id for a, b in zip(ones, others, strict=True) if a.fingerprint != b.fingerprint]
    if not ones or (same_content and changed):
        raise DataError(
            "comparison-of-other-rows",
            value=f"{len(changed)} rows of other content, {changed[0]!r} the first"
            if changed
            else "no row in both",
            place="the outcomes compared",
            expected="outcomes of the same rows",
            mend="Evaluate both on the same copy of the benchmark.",
        )
    if not same_content:
        pairs = zip(ones, others, strict=True)
        others = [replace(other, cluster=one.cluster) for one, other in pairs]
    return ones, others
