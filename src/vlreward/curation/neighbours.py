"""Who is near whom: the pairs of vectors above a similarity, without comparing all with all.

Rows are cut into cells around some of themselves, each row into the cells of its nearest few; only
rows that share a cell are compared, and there exactly. Vectors are rounded to whole numbers so
small that float32 adds them without error: whoever computes in whatever order, in one process or
on a cluster, finds the same similarities to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vlreward.curation.frames import daft
from vlreward.errors import require

SCALE = 2048
"""Length of a rounded unit vector. Sums of products stay below its square (by Cauchy and Schwarz),
which is far below 2^24, up to which float32 holds every whole number."""

_BLOCK = 1024
_WHOLE_GROUP = 2048
"""Rows up to which a group is one cell."""

Vectors = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """How rows are cut into cells, and how many neighbours they keep."""

    per_root: float = 2.0
    """Cells of a group, as a multiple of the root of its number of rows."""
    probes: int = 8
    """Cells that a row lies in."""
    num_neighbours: int = 64
    """How many of its nearest rows a row is paired with in a cell, ties included: where thousands
    are alike, all their pairs would be too many. A second run may then drop more of them."""

    def __post_init__(self) -> None:
        for name in ("per_root", "probes", "num_neighbours"):
            value = getattr(self, name)
            require(value > 0, place=name, value=value, expected="a number above 0")


class Near(NamedTuple):
    """Places of two rows in the file of vectors, the first one smaller; their cosine."""

    first: int
    second: int
    similarity: float


def rounded(vectors: npt.NDArray[np.floating[Any]]) -> Vectors:
    """Unit vectors [rows, dimensions] as whole numbers of length `SCALE`."""
    return np.rint(np.asarray(vectors, dtype=np.float64) * SCALE).astype(np.int16)


def near_pairs(
    groups: npt.NDArray[np.int64],
    *,
    vectors: Path,
    order: npt.NDArray[np.int64],
    min_similarity: float,
    cells: Cells,
    sides: npt.NDArray[np.bool_] | None = None,
) -> list[Near]:
    """The pairs of rows of one group whose vectors are at least so similar, sorted.

    `groups` [rows] holds the group of each row of `vectors`, an .npy of rounded vectors that every
    worker can open; `order` [rows] are hashes of the rows' content, of which the smallest pick the
    rows around which cells lie. With `sides` [rows], only pairs with a row on either side count,
    and all of them. Rows that are near each other and share none of their nearest cells are missed.
    """
    frames = daft()
    whole = np.load(vectors, mmap_mode="r")
    names, members = _cells_of(groups, vectors=whole, order=order, cells=cells)
    low = math.ceil(min_similarity * SCALE**2)
    compare = _compare_on(frames, vectors=vectors, low=low, cells=cells, sides=sides)
    found = (
        frames.from_pydict({"cell": names, "at": members})
        .groupby("cell")
        .agg(frames.col("at").list_agg().alias("members"))
        .select(compare(frames.col("members")).alias("near"))
        .explode("near")
        .where(frames.col("near").not_null())
        .select(frames.col("near").unnest())
        .distinct()
        .sort(["first", "second"])
        .to_pydict()
    )
    columns = (found["first"], found["second"], found["dot"])
    return [
        Near(first=first, second=second, similarity=min(dot / SCALE**2, 1.0))
        for first, second, dot in zip(*columns, strict=True)
    ]


def _compare_on(
    frames: Any, *, vectors: Path, low: int, cells: Cells, sides: npt.NDArray[np.bool_] | None
) -> Any:
    """A Daft function from the members of a cell to its near pairs."""
    pair = frames.DataType.struct(
        {name: frames.DataType.int64() for name in ("first", "second", "dot")}
    )

    @frames.func(return_dtype=frames.DataType.list(pair))
    def compare(members: list[int]) -> list[dict[str, int]]:
        places = np.sort(np.asarray(members, dtype=np.int64))
        rows = np.asarray(np.load(vectors, mmap_mode="r")[places], dtype=np.float32)
        side = None if sides is None else sides[places]
        near = _near_within(rows, side=side, low=low, num_neighbours=cells.num_neighbours)
        return [
            {"first": int(places[one]), "second": int(places[other]), "dot": int(dot)}
            for one, other, dot in near
        ]

    return compare


def _near_within(
    rows: npt.NDArray[np.float32],
    *,
    side: npt.NDArray[np.bool_] | None,
    low: int,
    num_neighbours: int,
) -> Iterator[tuple[int, int, np.float32]]:
    """Near pairs of a cell's rows, block by block, the earlier row first."""
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        dots = block @ rows[start:].T
        dots[np.tril_indices(len(block))] = -1  # itself, and pairs seen from the other side
        if side is not None:
            dots[side[start : start + len(block), None] == side[None, start:]] = -1
        elif dots.shape[1] > num_neighbours:
            limit = np.partition(dots, -num_neighbours, axis=1)[:, [-num_neighbours]]
            dots[dots < limit] = -1
        for one, other in zip(*np.nonzero(dots >= low), strict=True):
            yield start + int(one), start + int(other), dots[one, other]


def _cells_of(
    groups: npt.NDArray[np.int64], *, vectors: Vectors, order: npt.NDArray[np.int64], cells: Cells
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of cells, and the rows in them; rows alone in their group are left out."""
    by_group = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[by_group], return_index=True, return_counts=True)
    names: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    members: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    next_cell = 0
    for start, size in zip(starts, sizes, strict=True):
        rows = by_group[start : start + size]
        if size > _WHOLE_GROUP:
            cell = _nearest_cells(rows, vectors=vectors, order=order[rows], cells=cells)
            names.append(next_cell + cell.reshape(-1))
            members.append(np.repeat(rows, cell.shape[1]))
            next_cell += int(cell.max()) + 1
        elif size > 1:
            names.append(np.full(size, next_cell))
            members.append(rows)
            next_cell += 1
    return np.concatenate(names), np.concatenate(members)


def _nearest_cells(
    rows: npt.NDArray[np.int64],
    *,
    vectors: Vectors,
    order: npt.NDArray[np.int64],
    cells: Cells,
) -> npt.NDArray[np.int64]:
    """The cells [rows, probes] that each of a group's rows lies in."""
    num_cells = math.ceil(cells.per_root * math.sqrt(len(rows)))
    _, distinct = np.unique(order, return_index=True)  # by rising order, one row of each content
    chosen = distinct[:num_cells]
    centres = np.asarray(vectors[np.sort(rows[chosen])], dtype=np.float32)
    probes = min(cells.probes, len(centres))
    found = np.empty((len(rows), probes), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = np.asarray(vectors[rows[start : start + _BLOCK]], dtype=np.float32)
        dots = block @ centres.T
        found[start : start + _BLOCK] = np.argpartition(dots, -probes, axis=1)[:, -probes:]
    return found
