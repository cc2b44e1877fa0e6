"""Real preference data trains, stops and resumes, each source by itself and all together."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import SIZES, DeadlyClock, events_of
from vlreward.errors import Interrupted
from vlreward.recipes.scratch import scratch
from vlreward.scoring import RewardModel
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import load_preferences
from vlreward.training.run import train

pytestmark = pytest.mark.realdata

SOURCES = ("blindtest", "mathvision", "puzzlevqa", "text")
NUM_ROWS = 6


@pytest.mark.parametrize("names", [*((name,) for name in SOURCES), SOURCES], ids="+".join)
def test_real_pairs_train_stop_and_resume(
    tmp_path: Path, shared_data: Path, names: tuple[str, ...]
) -> None:
    paths = [str(shared_data / name / "pairs.jsonl") for name in names]
    config = scratch(
        data=[SourceConfig(path=path, split="train", limit=NUM_ROWS) for path in paths],
        validation=[SourceConfig(path=path, split="val", limit=2) for path in paths],
        output=str(tmp_path / "run"),
        epochs=1,
        batch_size=NUM_ROWS * len(names) // 2,
        max_pixels=56 * 56,
        sizes=SIZES,
    )
    config = replace(config, max_refused_share=0.0)
    run = Path(config.output)
    # The clock's calls: the command, the start, the stage, the first step.
    clock = DeadlyClock(at_call=3, signal_number=signal.SIGTERM)
    with pytest.raises(Interrupted):
        train(config, clock=clock)
    assert [step["step"] for step in events_of(run, "step")] == [1]

    train(config)
    steps = events_of(run, "step")
    assert [step["step"] for step in steps] == [1, 2]
    assert sum(step["num_units"] for step in steps) == NUM_ROWS * len(names)
    assert all(math.isfinite(step["loss"]) for step in steps)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["validation"]["overall"]["num_pairs"] == 2 * len(names)

    model = RewardModel.load(run / "model")
    pairs = load_preferences(config.validation).pairs
    margins = [
        chosen - rejected
        for chosen, rejected in (
            model.score(pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs
        )
    ]
    mean = sum(margins) / len(margins)
    assert metrics["validation"]["overall"]["mean_margin"] == pytest.approx(mean, abs=1e-6)
