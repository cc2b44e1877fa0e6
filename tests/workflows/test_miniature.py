"""`vlreward miniature reward` in small: data, two stages, figures, a page; again, it resumes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import tiny
from vlreward.cli import run
from vlreward.durable import verify_manifest, write_manifest
from vlreward.errors import ConfigError
from vlreward.scoring import RewardModel
from vlreward.workflows.miniature import add_card, examine, make_reward_model


def test_a_reward_model_is_trained_in_two_stages_and_examined(tmp_path: Path) -> None:
    base, output = tmp_path / "base", tmp_path / "run"
    tiny.write_base_model(base, "qwen2_5_vl", tied=True)
    for _ in range(2):
        model = make_reward_model(
            output,
            base=str(base),
            num_pictures=51,
            num_text_pairs=12,
            seed=0,
            command=["vlreward", "miniature", "reward"],
        )
    events = [json.loads(line) for line in (output / "events.jsonl").read_text().splitlines()]
    stages = [event for event in events if event["kind"] == "stage"]
    assert [stage["name"] for stage in stages] == ["multimodal", "multimodal-and-text"]
    assert stages[1]["num_items"] == stages[0]["num_items"] + 12
    examine(model, output, name="miniature", num_pictures=51, num_text_pairs=12)
    found = json.loads((output / "exam.json").read_text())
    assert found["multimodal"]["seen"]["num_pairs"] > 50
    assert found["text"]["seen"]["num_pairs"] == 12
    assert "Two cases" in (output / "report.html").read_text()
    bars = output / "cases" / "longest-bar.png"
    again = RewardModel.load(output / "model")
    assert len(again.score("Which is the longest bar?", ["A.", "B."], images=[bars])) == 2

    with pytest.raises(ConfigError, match=r"drawn\.json says") as refused:
        make_reward_model(
            output, base=str(base), num_pictures=52, num_text_pairs=12, seed=0, command=[]
        )
    assert refused.value.place == "num_pictures"


def test_a_card_belongs_to_the_models_manifest(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    write_manifest(tmp_path)
    add_card(tmp_path, "# A card")
    verify_manifest(tmp_path)


def test_only_two_models_can_be_made() -> None:
    with pytest.raises(ConfigError, match="miniature --help"):
        run(["miniature", "judge"])
