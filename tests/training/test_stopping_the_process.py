"""`vlreward train` as a process that is told to stop, and the same command again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.training import TWO_STAGES, events_of, final_tensors, tiny_config
from vlreward import configuration
from vlreward.training.config import TrainConfig
from vlreward.training.run import train
from vlreward.training.state import list_checkpoints

pytestmark = pytest.mark.slow

PROGRAM = "from vlreward.cli import main; main()"


def config_of(folder: Path) -> TrainConfig:
    """Steps enough for a signal to arrive in time, saved at the stages' ends alone."""
    stages = tuple(replace(stage, epochs=30, learning_rate=1e-3) for stage in TWO_STAGES)
    return tiny_config(folder, stages=stages, save_every_steps=1000, validate_every_steps=0)


def start(config_file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "train", "--from", str(config_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_of(tmp_path_factory.mktemp("uninterrupted"))
    train(config)
    return Path(config.output)


@pytest.mark.parametrize(
    ("number", "line"),
    [(signal.SIGTERM, "Stage pictures:"), (signal.SIGINT, "Stage all:")],
)
def test_a_signal_ends_it_with_75_and_the_same_command_finishes_the_same_run(
    tmp_path: Path, uninterrupted: Path, number: signal.Signals, line: str
) -> None:
    config = config_of(tmp_path)
    run = Path(config.output)
    config_file = tmp_path / "config.yaml"
    config_file.write_text(configuration.to_yaml(config))

    process = start(config_file)
    assert process.stderr is not None
    while not process.stderr.readline().startswith(line):
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75
    assert said.splitlines()[-1] == (
        f"vlreward: training: {number.name}; expected no signal. Nothing is lost: run the same "
        "command again to go on. [interrupted]"
    )
    assert len(list_checkpoints(run / "checkpoints")) >= 1
    assert not (run / "model").exists()

    process = start(config_file)
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 0, said
    assert "Resumed at step" in said
    assert events_of(run, "step") == events_of(uninterrupted, "step")
    tensors, others = final_tensors(run), final_tensors(uninterrupted)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
