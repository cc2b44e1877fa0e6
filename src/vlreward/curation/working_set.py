"""The pairs that curation works on, read once into a table of shards; and back from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlreward.curation import ledger
from vlreward.curation.frames import Frame, daft
from vlreward.curation.rows import pair_of, schema, to_table_row
from vlreward.durable import written_atomically
from vlreward.errors import DataError
from vlreward.records import PreferencePair

_SHARD_ROWS = 20_000
_GLOB_SIGNS = re.compile(r"([\[\]{}*?])")
"""Daft takes paths for patterns; in brackets these signs stand for themselves."""


class ReadIn(NamedTuple):
    """How many rows were read, and the entries of those that are no pairs."""

    num_read: int
    refused: list[ledger.Entry]


def read_in(
    sources: Iterable[tuple[str, Iterable[PreferencePair | DataError]]],
    folder: Path,
    *,
    first_row: int = 0,
) -> ReadIn:
    """Writes the pairs of named sources as the table's shards into `folder`, 20,000 to each.

    Their rows are numbered from `first_row` on.
    """
    shard: list[dict[str, object]] = []
    refused: list[ledger.Entry] = []
    num_read = num_shards = 0
    for name, items in sources:
        for item in items:
            try:
                if isinstance(item, DataError):
                    raise item
                shard.append(to_table_row(item, row=first_row + num_read))
            except DataError as error:
                if isinstance(item, PreferencePair):
                    error.row_id, error.row_place = item.origin.row_id, item.origin.place
                    error.row_source, error.row_field = item.origin.source, error.place
                refused.append(ledger.refused(error, source=name))
            num_read += 1
            if len(shard) == _SHARD_ROWS:
                _write(shard, folder / f"{num_shards:05d}.parquet")
                shard, num_shards = [], num_shards + 1
    if shard or num_shards == 0:
        _write(shard, folder / f"{num_shards:05d}.parquet")
    refused.sort(key=lambda entry: (entry.source, entry.place, entry.reason, entry.detail))
    return ReadIn(num_read=num_read, refused=refused)


def rows_of(folder: Path) -> Frame:
    """The table that `read_in` wrote."""
    shards = sorted(folder.glob("*.parquet"))
    return daft().read_parquet([_GLOB_SIGNS.sub(r"[\1]", str(path)) for path in shards])


def pairs_of(rows: Frame) -> Iterator[PreferencePair]:
    """The pairs of a table's rows, by id, then source and place."""
    return (pair for _, pair in numbered_pairs(rows))


def numbered_pairs(rows: Frame) -> Iterator[tuple[int, PreferencePair]]:
    """The numbers of a table's rows and their pairs, in the order of `pairs_of`."""
    ordered = rows.select("row", "id", "source", "place", "body").sort(["id", "source", "place"])
    return ((row["row"], pair_of(row)) for row in ordered.iter_rows())


def _write(shard: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with written_atomically(path) as file:
        pq.write_table(pa.Table.from_pylist(list(shard), schema=schema()), file)
