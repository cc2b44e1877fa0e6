"""Interrupted and resumed is uninterrupted: weights, optimizer, random state and metrics."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.support.training import (
    DeadlyClock,
    Killed,
    events_of,
    final_tensors,
    tiny_config,
)
from vlreward.errors import Interrupted
from vlreward.runs import Clock
from vlreward.training.config import OptimizerConfig, TrainConfig
from vlreward.training.run import train
from vlreward.training.state import list_checkpoints

FIRST_STAGE, SECOND_STAGE = range(1, 7), range(7, 10)
"""The steps of the tiny run's two stages; a checkpoint is saved at every second one."""

_STARTED, _STAGE = 1, 2
"""The clock's calls when the run notes these events; its 0th is for the command."""


def call_at_step(step: int) -> int:
    """The clock's call when the step is noted; two other events lie between the stages."""
    return _STAGE + step + 2 * (step in SECOND_STAGE)


def config_of(folder: Path) -> TrainConfig:
    """The tiny run, validated only at its stages' ends."""
    return tiny_config(folder, validate_every_steps=0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    config = config_of(folder)
    train(config, clock=lambda: 0.0)
    return Path(config.output)


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """What the run says it measured, and when its stages began and ended."""
    return events_of(run, "stage", "step", "validation", "finished")


def assert_same_run(run: Path, other: Path) -> None:
    assert metrics_of(run) == metrics_of(other)
    tensors, others = final_tensors(run), final_tensors(other)
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not _same(tensors[name], others[name])] == []


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def test_the_runs_compared_step_embeddings_by_their_rows(uninterrupted: Path) -> None:
    kept = list_checkpoints(uninterrupted / "checkpoints")
    names = [name for path in kept for name in load_file(path / "optimizer.safetensors")]
    assert any(name.endswith("embed_tokens.weight/touched") for name in names)


def test_a_killed_run_with_weight_decay_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        config = replace(config_of(tmp_path / name), optimizer=OptimizerConfig(weight_decay=0.01))
        if name == "killed":
            assert run_until(config, DeadlyClock(at_call=call_at_step(5))) is Killed
        train(config, clock=lambda: 0.0)
    assert_same_run(tmp_path / "killed" / "run", tmp_path / "whole" / "run")


def run_until(config: TrainConfig, clock: Clock) -> type[BaseException]:
    with pytest.raises((Killed, Interrupted)) as stopped:
        train(config, clock=clock)
    return stopped.type


def test_the_runs_compared_have_moved_weights_in_both_stages(uninterrupted: Path) -> None:
    steps = events_of(uninterrupted, "step")
    assert [step["step"] for step in steps] == [*FIRST_STAGE, *SECOND_STAGE]
    assert all(step["gradient_norm"] > 0 and step["learning_rate"] > 0 for step in steps)
    assert len({step["loss"] for step in steps}) == len(steps)


@pytest.mark.parametrize(
    "at_call",
    [
        pytest.param(_STARTED, id="before the first step", marks=pytest.mark.slow),
        pytest.param(call_at_step(2), id="in the step before the first save"),
        pytest.param(call_at_step(5), id="between two saves"),
        pytest.param(call_at_step(6) + 1, id="in the validation at the end of a stage"),
        pytest.param(call_at_step(6) + 2, id="at the stage switch"),
        pytest.param(call_at_step(9) + 2, id="when all is written but the last event"),
    ],
)
def test_a_killed_run_ends_as_if_it_had_not_been(
    tmp_path: Path, uninterrupted: Path, at_call: int
) -> None:
    config = config_of(tmp_path)
    assert run_until(config, DeadlyClock(at_call=at_call)) is Killed
    train(config, clock=lambda: 0.0)
    assert_same_run(Path(config.output), uninterrupted)


@pytest.mark.parametrize(
    ("number", "at_call", "step"),
    [
        pytest.param(signal.SIGTERM, _STARTED, 1, id="in the first step"),
        pytest.param(signal.SIGINT, call_at_step(3), 3, id="between two saves"),
        pytest.param(
            signal.SIGTERM, call_at_step(4), 4, id="saving anyway", marks=pytest.mark.slow
        ),
        pytest.param(signal.SIGINT, call_at_step(6), 6, id="in the last step of a stage"),
        pytest.param(signal.SIGTERM, call_at_step(6) + 1, 6, id="in a stage's validation"),
        pytest.param(signal.SIGTERM, call_at_step(8), 8, id="in the second stage"),
        pytest.param(signal.SIGTERM, call_at_step(9) + 1, 9, id="in the last validation"),
    ],
)
def test_a_run_stopped_by_a_signal_ends_as_if_it_had_not_been(
    tmp_path: Path, uninterrupted: Path, number: signal.Signals, at_call: int, step: int
) -> None:
    config = config_of(tmp_path)
    clock = DeadlyClock(at_call=at_call, signal_number=number)
    assert run_until(config, clock) is Interrupted
    run = Path(config.output)
    newest = list_checkpoints(run / "checkpoints")[-1]
    assert newest.name.startswith(f"step-{step:08d}")
    assert events_of(run)[-1]["kind"] == "stopped"

    train(config, clock=lambda: 0.0)
    assert_same_run(run, uninterrupted)


def test_a_run_stopped_twice_ends_as_if_it_had_not_been(
    tmp_path: Path, uninterrupted: Path
) -> None:
    config = config_of(tmp_path)
    run_until(config, DeadlyClock(at_call=call_at_step(3), signal_number=signal.SIGTERM))
    run_until(config, DeadlyClock(at_call=4))
    train(config, clock=lambda: 0.0)
    assert_same_run(Path(config.output), uninterrupted)


def test_a_run_killed_between_a_validation_and_its_save_validates_once(
    tmp_path: Path, uninterrupted: Path
) -> None:
    config = config_of(tmp_path)
    run = Path(config.output)
    assert run_until(config, DeadlyClock(at_call=call_at_step(6) + 2)) is Killed
    assert events_of(run)[-1]["kind"] == "validation"
    shutil.rmtree(run / "checkpoints" / "step-00000006-01")
    train(config, clock=lambda: 0.0)
    assert_same_run(run, uninterrupted)


def test_a_finished_run_without_its_last_checkpoint_ends_the_same_again(
    tmp_path: Path, uninterrupted: Path
) -> None:
    config = config_of(tmp_path)
    run = Path(config.output)
    shutil.copytree(uninterrupted, run)
    for name in ("model", "config.yaml", "checkpoints/step-00000009-02"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    train(config, clock=lambda: 0.0)
    assert_same_run(run, uninterrupted)
    assert events_of(run, "resumed") == [
        {"kind": "resumed", "step": 8, "lost_steps": 1, "skipped": []}
    ]
