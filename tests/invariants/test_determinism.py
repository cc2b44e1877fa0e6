"""A run is a function of its configuration, and its layout changes no number of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.training import TWO_STAGES, events_of, final_tensors, tiny_config
from vlreward.training.config import TrainConfig
from vlreward.training.run import train

TOLERANCE = 1e-5


def config_of(folder: Path) -> TrainConfig:
    """The tiny run at gentler rates, not validated, saved at its end only."""
    stages = tuple(replace(stage, learning_rate=1e-3) for stage in TWO_STAGES)
    config = tiny_config(folder, stages=stages, save_every_steps=100)
    return replace(config, validation=())


def run_in(folder: Path, **changes: object) -> Path:
    config = replace(config_of(folder), **changes)  # type: ignore[arg-type]
    train(config, clock=lambda: 0.0)
    return Path(config.output)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("first"))


def test_the_same_seed_gives_bitwise_the_same_run(first: Path, tmp_path: Path) -> None:
    second = run_in(tmp_path)
    assert events_of(second) == events_of(first)
    tensors, others = final_tensors(second), final_tensors(first)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)


def test_another_seed_gives_another_order(first: Path, tmp_path: Path) -> None:
    other = run_in(tmp_path, seed=1)
    assert events_of(other, "step") != events_of(first, "step")


def test_a_packed_run_measures_what_a_padded_run_measures(first: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    padded = run_in(tmp_path, model=replace(config.model, layout="padded"))
    steps, others = events_of(first, "step"), events_of(padded, "step")
    assert sum(step["num_tokens"] for step in steps) < sum(step["num_tokens"] for step in others)
    for key in ("loss", "mean_margin"):
        assert [step[key] for step in steps] == pytest.approx(
            [step[key] for step in others], abs=TOLERANCE
        )
