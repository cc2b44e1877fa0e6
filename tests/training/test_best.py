"""The weights that validated best are exported, and a stage that gets no better ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.training import DeadlyClock, Killed, events_of, final_tensors, tiny_config
from vlreward.errors import CheckpointError, ConfigError
from vlreward.runs import Event
from vlreward.training.best import best_step, num_since_best
from vlreward.training.config import TrainConfig
from vlreward.training.run import train


def events(*losses: float) -> list[Event]:
    """Validations after every tenth step."""
    return [
        Event(
            number=index,
            time=0.0,
            kind="validation",
            fields={"step": 10 * index, "overall": {"loss": loss, "accuracy": 1 - loss}},
        )
        for index, loss in enumerate(losses, start=1)
    ]


@pytest.mark.parametrize("by", ["loss", "accuracy"])
def test_of_equal_validations_the_first_is_the_best(by: Any) -> None:
    assert best_step(events(0.5, 0.3, 0.4, 0.3), by=by) == 20
    assert best_step([], by=by) is None


def test_validations_since_the_best_of_a_stage_are_counted() -> None:
    found = events(0.1, 0.5, 0.3, 0.3, 0.4)
    assert num_since_best(found, by="loss", after_step=0) == 4
    assert num_since_best(found, by="loss", after_step=10) == 2
    assert num_since_best(found, by="loss", after_step=50) == 0


def config_of(folder: Path, **changes: Any) -> TrainConfig:
    """A run that gets worse: its rate is far too high."""
    config = tiny_config(folder)
    stages = tuple(replace(one, learning_rate=0.3, epochs=4) for one in config.stages)
    options = {"validate_every_steps": 2, "best_by": "loss", **changes}
    return replace(config, stages=stages, **options)


def validation_losses(run: Path) -> dict[int, float]:
    return {one["step"]: one["overall"]["loss"] for one in events_of(run, "validation")}


def test_the_weights_that_validated_best_are_exported(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    train(config)
    run = Path(config.output)
    losses = validation_losses(run)
    best = min(losses, key=lambda step: (losses[step], step))
    assert best < max(losses), "the run gets worse"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["exported_step"] == best
    assert metrics["validation"]["overall"]["loss"] == losses[best]
    [kept] = (run / "best").glob("step-*")
    assert kept.name.startswith(f"step-{best:08d}")
    of_best = load_file(kept / "model.safetensors")["backbone.language_model.norm.weight"]
    exported = final_tensors(run)
    [norm] = [
        t for n, t in exported.items() if n.startswith("model/") and n.endswith("l.norm.weight")
    ]
    assert torch.equal(norm, of_best)


def test_a_stage_that_gets_no_better_ends(tmp_path: Path) -> None:
    config = config_of(tmp_path, patience=2)
    train(config)
    run = Path(config.output)
    steps = [event["stage"] for event in events_of(run, "step")]
    planned = [event["num_steps"] for event in events_of(run, "stage")]
    made = [steps.count(stage.name) for stage in config.stages]
    assert made[0] > 0 and made[1] > 0 and sum(made) < sum(planned)
    losses = list(validation_losses(run).items())
    for first, last, num_planned in ((0, made[0], planned[0]), (made[0], len(steps), planned[1])):
        of_stage = [loss for step, loss in losses if first < step <= last]
        num_worse = len(of_stage) - 1 - of_stage.index(min(of_stage))
        assert num_worse == 2 or (num_worse < 2 and last - first == num_planned)


@pytest.mark.parametrize(
    "at_call", [9, 15, *(pytest.param(at, marks=pytest.mark.slow) for at in range(8, 28, 3))]
)
def test_a_killed_run_exports_the_same(tmp_path: Path, at_call: int) -> None:
    runs = [config_of(tmp_path / name, patience=2) for name in ("whole", "killed")]
    train(runs[0])
    with pytest.raises(Killed):
        train(runs[1], clock=DeadlyClock(at_call=at_call))
    train(runs[1])
    whole, killed = (Path(config.output) for config in runs)
    assert validation_losses(whole) == validation_losses(killed)
    tensors, others = final_tensors(whole), final_tensors(killed)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)


def test_best_weights_that_are_gone_are_missed(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    train(config)
    run = Path(config.output)
    shutil.rmtree(run / "best")
    shutil.rmtree(run / "model")
    with pytest.raises(CheckpointError, match="best-missing"):
        train(config)


@pytest.mark.parametrize(
    "changes",
    [
        {"validation": ()},
        {"best_by": None, "patience": 1},
        {"validate_every_steps": 0, "patience": 1},
    ],
)
def test_what_needs_validations_is_refused_without_them(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        config_of(tmp_path, **changes)
