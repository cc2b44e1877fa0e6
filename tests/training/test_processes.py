"""Two processes train as one does: the same losses and weights, and either resumes the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.support.families import write_family
from tests.support.training import (
    DeadlyClock,
    Killed,
    drawn_row,
    events_of,
    tiny_config,
    write_rows,
)
from vlreward import configuration
from vlreward.modeling.config import ModelConfig
from vlreward.scoring import RewardModel
from vlreward.training.config import (
    ObjectiveConfig,
    OptimizerConfig,
    PictureCacheConfig,
    StageConfig,
    TrainConfig,
)
from vlreward.training.run import train

_TWENTY_STEPS = (
    StageConfig(name="pictures", select="multimodal", epochs=3, learning_rate=1e-3, batch_size=4),
    StageConfig(name="all", select="all", epochs=4, learning_rate=1e-3, batch_size=5),
)
"""Nine steps and twelve; in the second stage some processes have no pictures in a round."""


_NO_NOISE = OptimizerConfig(weight_decay=0.01, epsilon=1e-4)
"""Softmax does not feel the bias of keys: AdamW divides its gradient, all rounding, by itself."""


def config_of(folder: Path, *, output: str = "run", **changes: Any) -> TrainConfig:
    config = tiny_config(folder, stages=_TWENTY_STEPS, optimizer=_NO_NOISE, **changes)
    return replace(config, output=str(folder / output))


def command_of(config: TrainConfig, *, num_processes: int) -> list[str]:
    file = Path(config.output).with_suffix(".yaml")
    file.write_text(configuration.to_yaml(config))
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(num_processes), "-m", "vlreward"),
        *("train", "--from", str(file)),
    ]


def start(config: TrainConfig, *, num_processes: int = 2) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_of(config, num_processes=num_processes),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_together(config: TrainConfig) -> str:
    process = start(config)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def wait_for_step(config: TrainConfig, step: int, process: subprocess.Popen[str]) -> None:
    run = Path(config.output)
    while not (run / "events.jsonl").exists() or not any(
        event["step"] >= step for event in events_of(run, "step")
    ):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    file = Path("/proc", str(process.pid), "task", str(process.pid), "children")
    return [int(number) for number in file.read_text().split()]


def exported(run: Path) -> dict[str, Tensor]:
    return {
        name: tensor
        for file in sorted((run / "model").glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def assert_same_run(run: Path, other: Path) -> None:
    """The same steps with the same losses, and the same weights, within 1e-5."""
    steps, others = events_of(run, "step"), events_of(other, "step")
    assert [one["step"] for one in steps] == [one["step"] for one in others]
    for one, two in zip(steps, others, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], abs=1e-5)
        assert one["accuracy"] == pytest.approx(two["accuracy"])
        assert one["num_units"] == two["num_units"]
    measured, others = events_of(run, "validation"), events_of(other, "validation")
    for one, two in zip(measured, others, strict=True):
        assert one["overall"]["accuracy"] == two["overall"]["accuracy"]
        assert one["overall"]["loss"] == pytest.approx(two["overall"]["loss"], abs=1e-5)
    weights, expected = exported(run), exported(other)
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-5, msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    config = config_of(folder)
    train(config)
    return folder


def test_two_processes_train_as_one(alone: Path) -> None:
    config = config_of(alone, output="together")
    run_together(config)
    run = Path(config.output)
    assert len(events_of(run, "step")) == 21
    assert_same_run(run, alone / "run")
    assert [e["kind"] for e in events_of(run)] == [e["kind"] for e in events_of(alone / "run")]
    one, other = (RewardModel.load(folder / "model") for folder in (run, alone / "run"))
    question, answers = "What is 3 plus one?", ["It is 4.", "It is 5, I am quite sure."]
    assert one.score(question, answers) == pytest.approx(other.score(question, answers), abs=1e-5)


def test_a_run_of_two_processes_goes_on_in_one(alone: Path) -> None:
    config = config_of(alone, output="two-then-one")
    process = start(config)
    wait_for_step(config, 6, process)
    process.terminate()
    said = process.communicate(timeout=300)[0]
    assert "Nothing is lost" in said
    run = Path(config.output)
    assert 6 <= len(events_of(run, "step")) < 21
    train(config)
    assert [event["lost_steps"] for event in events_of(run, "resumed")] == [0]
    assert_same_run(run, alone / "run")


@pytest.mark.slow
def test_a_run_of_one_process_goes_on_in_two(alone: Path) -> None:
    config = config_of(alone, output="one-then-two")
    with pytest.raises(Killed):
        train(config, clock=DeadlyClock(at_call=9))
    run_together(config)
    run = Path(config.output)
    assert len(events_of(run, "resumed")) == 1
    assert_same_run(run, alone / "run")


@pytest.mark.slow
def test_two_processes_killed_go_on_with_what_they_had_saved(alone: Path) -> None:
    config = config_of(alone, output="killed")
    process = start(config)
    wait_for_step(config, 7, process)
    for child in children_of(process):
        os.kill(child, signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode != 0
    run_together(config)
    assert_same_run(Path(config.output), alone / "run")


@pytest.mark.slow
def test_adapters_and_pictures_encoded_ahead_are_spread_too(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    one, two = (config_of(tmp_path, output=name) for name in ("one", "two"))
    configs = [
        replace(
            config,
            model=replace(config.model, freeze_vision=True, lora_rank=2),
            pictures=PictureCacheConfig(keep="disk"),
        )
        for config in (one, two)
    ]
    train(configs[0])
    run_together(configs[1])
    assert_same_run(Path(two.output), Path(one.output))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llava", "smolvlm", "gemma3"])
def test_models_whose_pictures_are_tiles_are_spread_too(kind: str, tmp_path: Path) -> None:
    base = write_family(tmp_path / "base", kind)
    one, two = (
        replace(
            config_of(tmp_path, output=name),
            model=ModelConfig(path=str(base), dtype="float32"),
            stages=_TWENTY_STEPS[1:],
        )
        for name in ("one", "two")
    )
    train(one)
    run_together(two)
    assert_same_run(Path(two.output), Path(one.output))


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_stops_both(tmp_path: Path) -> None:
    config = config_of(tmp_path, objective=ObjectiveConfig(use_margin=True))
    rows = [drawn_row(index) for index in range(10)]
    rows[3]["margin"] = 1e39  # infinite in float32
    write_rows(Path(config.data[0].path), *rows)
    process = start(replace(config, stages=_TWENTY_STEPS[:1]))
    said = process.communicate(timeout=300)[0]
    assert process.returncode != 0
    assert "loss-not-finite" in said
    [stopped] = events_of(Path(config.output), "stopped")
    assert stopped["code"] == "loss-not-finite"
