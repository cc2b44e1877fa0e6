"""How many rows a published benchmark has, and what to say when a copy has others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vlreward.errors import DataError

_MOST_PHRASES = 3
_WHOLE = "Read the set whole, as published"
_OR_PARTIAL = "or go on with what is there by --partial, and the result will say so"


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The known numbers of rows; what is left empty is not known and not checked."""

    totals: tuple[int, ...] = ()
    """Numbers that all rows may make; several where several editions are about."""
    groups: Mapping[str, int] = field(default_factory=dict)
    subsets: Mapping[str, int] = field(default_factory=dict)
    is_firm: bool = True
    """Whether another number is refused; else it is only told."""


def differences(found: Iterable[tuple[str, str]], *, expected: Expected) -> list[str]:
    """What differs between the known numbers and rows given as (group, subset), as phrases."""
    rows = list(found)
    groups, subsets = Counter(group for group, _ in rows), Counter(subset for _, subset in rows)
    phrases = []
    if expected.totals and len(rows) not in expected.totals:
        known_totals = " or ".join(map(str, expected.totals))
        phrases.append(f"rows in all: {len(rows)} instead of {known_totals}")
    other = [
        (f"subset {name}" if is_subset and name in expected.groups else name, counted[name], number)
        for is_subset, known, counted in (
            (False, expected.groups, groups),
            (True, expected.subsets, subsets),
        )
        for name, number in known.items()
        if counted[name] != number
    ]
    phrases += [f"rows of {name}: {n} instead of {number}" for name, n, number in other if n]
    absent = dict.fromkeys(name for name, n, _ in other if not n)
    if absent:
        phrases.append(f"no rows of {', '.join(absent)}")
    return list(dict.fromkeys(phrases))


def other_counts(
    phrases: Sequence[str],
    *,
    place: str,
    title: str,
    refused: Sequence[DataError],
    is_lenient: bool = False,
) -> DataError:
    """The error for rows that are not the benchmark's, with the first that could not be read.

    `is_lenient` tells that missing rows would do, if there were any at all.
    """
    num_more = len(phrases) - _MOST_PHRASES
    more = [f"and {num_more} more such"] if num_more > 0 else []
    first = f" The first row that could not be read: {refused[0]}" if refused else ""
    return DataError(
        "benchmark-counts",
        value="; ".join([*phrases[:_MOST_PHRASES], *more]) or "no rows",
        place=place,
        expected=f"the rows of {title}",
        mend=f"{_WHOLE}.{first}" if is_lenient else f"{_WHOLE}; {_OR_PARTIAL}.{first}",
    )
