"""Killed by `kill -9` again and again, a run ends as if it had not been: bit for bit."""

from __future__ import annotations

import random
from itertools import chain, count, cycle, islice
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tests.support.kill_nine import AfterSeconds, AtOperation, dies
from tests.support.training import events_of, final_tensors, tiny_config
from vlreward.training.config import TrainConfig
from vlreward.training.run import train


class AtOperations(NamedTuple):
    """Where a run is killed: at one of the file operations from the first on such a path."""

    pattern: str
    most: int


_KILLS_A_RUN = 5
_IN_SAVES = AtOperations(r"/checkpoints/step-.*\.tmp", 40)
_AT_THE_SWITCH = AtOperations(r"/checkpoints/step-00000006-01\.tmp", 40)
_ANYWHERE = AtOperations("/run/", 400)
PLACES = (_IN_SAVES, _AT_THE_SWITCH, _ANYWHERE, _IN_SAVES, None)
"""They take turns; None is at any moment. A save makes some forty file operations from its first:
it fills, flushes and renames a folder, and removes older ones. The checkpoint after six steps is
that between the stages."""


def draw(place: AtOperations | None, rng: random.Random) -> AtOperation | AfterSeconds:
    if place is None:
        return AfterSeconds(seconds=rng.uniform(0.05, 2.0))
    return AtOperation(pattern=place.pattern, number=rng.randint(1, place.most))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny_config(tmp_path_factory.mktemp("uninterrupted"))
    assert not dies(train, [config], death=None)
    return Path(config.output)


def assert_same_run(config: TrainConfig, uninterrupted: Path) -> None:
    run = Path(config.output)
    kinds = ("stage", "step", "validation", "finished")
    assert events_of(run, *kinds) == events_of(uninterrupted, *kinds)
    tensors, others = final_tensors(run), final_tensors(uninterrupted)
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []


@pytest.mark.parametrize("num_kills", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(
    tmp_path: Path, uninterrupted: Path, num_kills: int
) -> None:
    rng = random.Random(num_kills)
    places = islice(cycle(PLACES), num_kills)
    for number in count():
        config = tiny_config(tmp_path / str(number))
        here = list(islice(places, _KILLS_A_RUN))
        if not here:
            break
        while here and dies(train, [config], death=draw(here[0], rng)):
            del here[0]
        places = chain(here, places)  # a run that ended first leaves them to the next
        assert not dies(train, [config], death=None)
        assert_same_run(config, uninterrupted)
