"""What was dropped, by which step and why: the answer to "why is this pair not here?"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from vlreward.durable import written_atomically
from vlreward.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row that was dropped.

    `id` is the pair's, or None where the row could not be read as one; `row_id` the row's own in
    its source; `because` names the pair that stays in its stead, or the benchmark's row that it is
    too near to.
    """

    step: str
    reason: str
    source: str
    place: str
    id: str | None = None
    row_id: str | None = None
    because: str | None = None
    detail: str = ""


class Count(NamedTuple):
    """How many rows a step dropped for a reason."""

    step: str
    reason: str
    num_rows: int


def refused(error: DataError, *, source: str) -> Entry:
    """The entry of a row that could not be read; `source` is its source where it names none."""
    field = f"{error.row_field}: " if error.row_field else ""
    return Entry(
        step="read",
        reason=error.code,
        source=error.row_source or source,
        place=error.place if error.row_place is None else error.row_place,
        row_id=error.row_id,
        detail=f"{field}{error.said}",
    )


def counts(entries: Iterable[Entry]) -> list[Count]:
    """Rows by step and reason, steps in the order in which they first dropped something."""
    found = Counter((entry.step, entry.reason) for entry in entries)
    order = {step: number for number, step in enumerate(dict.fromkeys(step for step, _ in found))}
    return [
        Count(step=step, reason=reason, num_rows=number)
        for (step, reason), number in sorted(
            found.items(), key=lambda item: (order[item[0][0]], -item[1], item[0][1])
        )
    ]


def write(entries: Sequence[Entry], path: Path) -> None:
    """Writes the ledger as Parquet, whole or not at all, rows in the order of the entries."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [(field.name, pa.string()) for field in fields(Entry)]
    table = pa.Table.from_pylist([asdict(one) for one in entries], schema=pa.schema(columns))
    with written_atomically(path) as file:
        pq.write_table(table, file)


def read(path: Path) -> list[Entry]:
    """The entries of a ledger, in their order."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return [Entry(**row) for row in rows]
