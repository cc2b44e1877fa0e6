"""The quick start as a command: it trains, measures, shows a case, and finished says so again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlreward.scoring import RewardModel
from vlreward.workflows.demo import run_demo


def test_the_demo_leaves_a_model_and_figures_and_may_be_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    for _ in range(2):
        run_demo(
            folder,
            command=["vlreward", "demo"],
            num_train_pictures=12,
            num_validation_pictures=6,
        )
        shown = capsys.readouterr().out
        assert "share ordered rightly" in shown and "The shape is" in shown
    found = json.loads((folder / "demo.json").read_text())
    assert found["true_pictures"]["overall"]["num_pairs"] == 12
    assert set(found["shuffled_pictures"]["tasks"]) == {"colour", "shape"}
    case = next((folder / "case").glob("*.png"))
    rewards = RewardModel.load(folder / "model").score("Which?", ["Red.", "Blue."], images=[case])
    assert len(rewards) == 2
