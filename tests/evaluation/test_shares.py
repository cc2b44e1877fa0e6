"""Shares whose rows come in clusters: their intervals are those of the clusters."""

from __future__ import annotations

import numpy as np
import pytest

from vlreward.evaluation.statistics.shares import clustered_share
from vlreward.statistics import wilson_interval


def drawn(num_clusters: int, *, alike: float, seed: int) -> list[tuple[str, bool]]:
    """Three of a cluster, each as the cluster's first by the chance `alike`, else by a coin."""
    generator = np.random.default_rng(seed)
    found = []
    for cluster in range(num_clusters):
        first = bool(generator.random() < 0.7)
        for _ in range(3):
            is_same = generator.random() < alike
            found.append((str(cluster), first if is_same else bool(generator.random() < 0.7)))
    return found


def test_rows_of_their_own_have_wilsons_interval():
    found = clustered_share((str(index), index < 30) for index in range(40))
    low, high = wilson_interval(30, 40)
    assert found.interval.low == pytest.approx(low, abs=0.003)
    assert found.interval.high == pytest.approx(high, abs=0.003)


def test_rows_said_over_again_tell_nothing_more():
    once = clustered_share((str(index), index < 30) for index in range(40))
    often = clustered_share((str(index), index < 30) for index in range(40) for _ in range(9))
    assert often.interval == pytest.approx(once.interval)
    assert (often.num_right, often.num_all) == (270, 360)


def test_a_share_of_which_all_or_none_hold_counts_its_clusters():
    all_hold = clustered_share((str(index // 2), True) for index in range(20))
    assert all_hold.interval == wilson_interval(10, 10)
    assert clustered_share([("a", False), ("a", False)]).interval == wilson_interval(0, 1)
    assert clustered_share([]) is None


def test_rows_that_cancel_out_are_not_worth_more_than_there_are():
    found = clustered_share((str(index // 2), index % 2 == 0) for index in range(20))
    assert found.interval == wilson_interval(10, 20)


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_the_interval_holds_the_truth_as_often_as_it_says(alike: float):
    held = 0
    for seed in range(400):
        low, high = clustered_share(drawn(60, alike=alike, seed=seed)).interval
        held += low <= 0.7 <= high
    assert 0.92 <= held / 400 <= 0.98
