"""The rows of a batch when several processes work on it together, round by round.

Processes that hold a sharded model must run the same parts of it at the same time. So each has a
row in every round; where it has none of its own, or one without pictures while another's has some,
a tree that counts for nothing fills in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vlreward.collation.encoding import Tree
from vlreward.collation.packing import assign_rows


class Part(NamedTuple):
    """Which part of a batch a process works on: that of its rank, of so many."""

    rank: int
    num_parts: int


WHOLE = Part(rank=0, num_parts=1)


class PlannedRow(NamedTuple):
    """Indices of a row's trees, and of those to read beside them, whose rewards do not count."""

    trees: list[int]
    fillers: list[int]


def plan_rows(
    trees: Sequence[Tree], costs: Sequence[int], *, token_budget: int, part: Part
) -> list[PlannedRow]:
    """A process's rows of a batch: every tree is in one row of one process, fillers apart.

    `costs` are the tokens that each tree takes of a row. All processes have as many rows.
    """
    plans = [
        [[share[i] for i in row] for row in _rows_of(share, costs, token_budget=token_budget)]
        for share in share_out(costs, num_parts=part.num_parts)
    ]
    own = plans[part.rank]
    rows = []
    for number in range(max(map(len, plans))):
        indices = own[number] if number < len(own) else []
        others = [i for plan in plans for row in plan[number : number + 1] for i in row]
        rows.append(PlannedRow(indices, _fillers(trees, indices, others)))
    return rows


def share_out(costs: Sequence[int], *, num_parts: int) -> list[list[int]]:
    """Indices by part, ascending in each: the dearest first to whoever has least.

    The same costs give the same parts always.
    """
    parts: list[list[int]] = [[] for _ in range(num_parts)]
    loads = [0] * num_parts
    for index in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        least = loads.index(min(loads))
        parts[least].append(index)
        loads[least] += costs[index]
    return [sorted(part) for part in parts]


def _rows_of(share: Sequence[int], costs: Sequence[int], *, token_budget: int) -> list[list[int]]:
    return assign_rows([costs[index] for index in share], token_budget=token_budget)


def _fillers(trees: Sequence[Tree], row: Sequence[int], of_round: Sequence[int]) -> list[int]:
    """The smallest tree of a round that a row has to read beside its own, if any."""
    with_pictures = [index for index in of_round if trees[index].has_pictures]
    if row and (not with_pictures or any(trees[index].has_pictures for index in row)):
        return []
    return [min(with_pictures or of_round, key=lambda index: (len(trees[index]), index))]
