"""Rows for several processes: every tree once, as many rows each, fillers where they must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import tiny
from vlreward.collation.encoding import Span, Tree
from vlreward.collation.rounds import WHOLE, Part, plan_rows, share_out
from vlreward.records import Picture


def tree_of(length: int, pictures: tuple[Picture, ...] = ()) -> Tree:
    ids = np.zeros(length, dtype=np.int64)
    span = Span(ids=ids, positions=ids[None], pictures=pictures, grids=())
    return Tree(prefix=span, branches=(), truncated_tokens=())


PICTURE = tiny.picture(0)


@given(
    kinds=st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=20),
    num_parts=st.integers(1, 5),
)
def test_every_tree_is_in_one_row_and_all_processes_run_the_same_parts(
    kinds: list[tuple[int, bool]], num_parts: int
) -> None:
    trees = [tree_of(length, (PICTURE,) if drawn else ()) for length, drawn in kinds]
    costs = [len(tree) for tree in trees]
    plans = [
        plan_rows(trees, costs, token_budget=64, part=Part(rank=rank, num_parts=num_parts))
        for rank in range(num_parts)
    ]
    assert len({len(plan) for plan in plans}) == 1
    assert sorted(i for plan in plans for row in plan for i in row.trees) == [*range(len(trees))]
    for rows in zip(*plans, strict=True):
        read = [[trees[i] for i in (*row.trees, *row.fillers)] for row in rows]
        assert all(read)
        assert len({any(tree.has_pictures for tree in some) for some in read}) == 1


def test_one_process_reads_no_fillers() -> None:
    trees = [tree_of(40), tree_of(30, (PICTURE,)), tree_of(20)]
    rows = plan_rows(trees, [40, 30, 20], token_budget=64, part=WHOLE)
    assert [(row.trees, row.fillers) for row in rows] == [([0, 2], []), ([1], [])]


def test_shares_are_even() -> None:
    assert share_out([5, 9, 1, 4], num_parts=2) == [[1, 2], [0, 3]]


@pytest.mark.parametrize("num_parts", [2, 3])
def test_a_filler_is_the_smallest_tree_of_the_round(num_parts: int) -> None:
    trees = [tree_of(9, (PICTURE,)), tree_of(8)]
    plans = [
        plan_rows(trees, [9, 8], token_budget=64, part=Part(rank=rank, num_parts=num_parts))
        for rank in range(num_parts)
    ]
    assert [plan[0].fillers for plan in plans] == [[], [0], [0]][:num_parts]
