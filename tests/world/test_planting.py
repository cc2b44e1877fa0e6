"""Faults planted into pairs of the world."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from vlreward.errors import ConfigError
from vlreward.world.planting import FaultShares, PlantedPair, plant
from vlreward.world.preferences import WorldPair, make_pairs, make_text_pairs


def made() -> list[WorldPair]:
    pictured = make_pairs(num_pictures=204, seed=0, split="train")
    return [*chain(pictured, make_text_pairs(num_pairs=120, seed=0, split="train"))]


@pytest.fixture(scope="module")
def planted() -> list[PlantedPair]:
    return list(plant(made(), shares=FaultShares(), seed=0))


def test_faults_have_their_shares(planted: list[PlantedPair]) -> None:
    num_rows = len(made())
    found = Counter(one.fault for one in planted[:num_rows])
    assert abs(found["noise"] / num_rows - 0.2) < 0.04
    assert 0.1 < found["weak"] / num_rows < 0.22 and found["tie"] > 10
    assert len(planted) - num_rows == round(0.15 * num_rows)
    assert all(one.pair.origin.source == "world-copies" for one in planted[num_rows:])


def test_each_fault_is_what_its_name_says(planted: list[PlantedPair]) -> None:
    first = [one for one in planted if one.pair.origin.source == "world"]
    originals = {one.pair.origin.row_id: one for one in first}
    for one in planted:
        pair, known = one.pair, one.known.pair
        if one.fault == "noise":
            assert (pair.chosen, pair.rejected) == (known.rejected, known.chosen)
        elif one.fault == "weak":
            assert one.known.chosen in ("rambling", "wrong")
        elif one.fault == "tie":
            assert (one.known.chosen, one.known.rejected) == ("right", "right")
            assert pair.chosen != pair.rejected and pair.judgment.margin == 0
        elif one.fault in ("identical", "swapped", "paraphrase"):
            other = originals[pair.origin.row_id].pair
            assert (pair == other) == (one.fault == "identical")
            assert (pair.prompt == other.prompt) == (one.fault != "paraphrase")


def test_the_same_seed_plants_the_same(planted: list[PlantedPair]) -> None:
    assert [one.pair for one in plant(made(), shares=FaultShares(), seed=0)] == [
        one.pair for one in planted
    ]
    assert [one.pair for one in plant(made(), shares=FaultShares(), seed=1)] != [
        one.pair for one in planted
    ]


def test_shares_are_shares() -> None:
    with pytest.raises(ConfigError, match="noise"):
        FaultShares(noise=1.5)
    with pytest.raises(ConfigError, match="at most 1"):
        FaultShares(noise=0.9, weak=0.2)


def test_a_weak_answer_is_another_than_the_rejected_one() -> None:
    shares = FaultShares(noise=0, weak=1, ties=0, doubles=0)
    pairs = make_pairs(num_pictures=400, seed=3, split="train")
    planted = [one for one in plant(pairs, shares=shares, seed=0) if one.fault == "weak"]
    assert len(planted) > 500
    assert all(one.pair.chosen.text != one.pair.rejected.text for one in planted)
