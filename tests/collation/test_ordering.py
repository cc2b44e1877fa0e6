"""The order of comparisons: each once, prompts together, from prompts, seed and epoch alone."""

from __future__ import annotations

from itertools import groupby, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlreward.collation.ordering import order_batches

groups = st.lists(st.sampled_from("abcdefgh"), max_size=40)
seeds = st.integers(0, 2**40)


@given(group_of=groups, batch_size=st.integers(1, 9), seed=seeds, epoch=st.integers(0, 5))
def test_every_comparison_comes_once_in_full_batches(
    group_of: list[str], batch_size: int, seed: int, epoch: int
) -> None:
    batches = order_batches(group_of, batch_size=batch_size, seed=seed, epoch=epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(group_of)))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert all(0 < len(batch) <= batch_size for batch in batches)


@given(group_of=groups, batch_size=st.integers(1, 9), seed=seeds)
def test_comparisons_of_one_prompt_stay_together_in_their_order(
    group_of: list[str], batch_size: int, seed: int
) -> None:
    batches = order_batches(group_of, batch_size=batch_size, seed=seed, epoch=0)
    order = [index for batch in batches for index in batch]
    runs = [list(run) for _, run in groupby(order, key=lambda index: group_of[index])]
    assert len(runs) == len(set(group_of))
    assert all(run == sorted(run) for run in runs)


@given(group_of=groups, seed=seeds, epoch=st.integers(0, 5), noise=st.integers(0, 99))
def test_the_order_depends_on_seed_and_epoch_alone(
    group_of: list[str], seed: int, epoch: int, noise: int
) -> None:
    first = order_batches(group_of, batch_size=4, seed=seed, epoch=epoch)
    torch.manual_seed(noise)
    state = torch.get_rng_state()
    assert order_batches(group_of, batch_size=4, seed=seed, epoch=epoch) == first
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"
    other_size = order_batches(group_of, batch_size=7, seed=seed, epoch=epoch)
    assert [i for batch in other_size for i in batch] == [i for batch in first for i in batch]


def test_seeds_and_epochs_give_different_orders() -> None:
    orders = {
        tuple(order_batches(range(50), batch_size=50, seed=seed, epoch=epoch)[0])
        for seed, epoch in product(range(6), range(6))
    }
    assert len(orders) == 36


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert order_batches(["a", "b"], batch_size=2, seed=seed, epoch=3)
