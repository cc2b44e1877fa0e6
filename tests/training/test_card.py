"""The card in a trained model's folder: from what it was made and what it was measured to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import tiny_config
from vlreward.cli import run as run_command
from vlreward.durable import verify_manifest
from vlreward.sources.config import SourceConfig
from vlreward.training.card import model_card
from vlreward.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny_config(tmp_path_factory.mktemp("card"))
    train(config)
    return Path(config.output)


def test_the_card_tells_data_stages_and_accuracy(run: Path) -> None:
    card = (run / "model" / "README.md").read_text()
    verify_manifest(run / "model")
    assert card.startswith('---\ntags: ["vlreward", "reward-model"]\n---\n\n# run\n')
    assert "| pictures | multimodal | 2 | 4 | 0.01 |" in card
    assert "| train.jsonl | - | - | all |" in card
    assert "15 pairs were trained on, 10 of them with pictures" in card
    metrics = json.loads((run / "metrics.json").read_text())["validation"]
    low, high = metrics["overall"]["interval"]
    said = f"| all | 5 | {metrics['overall']['accuracy']:.3f} [{low:.3f}, {high:.3f}] |"
    assert said in card
    assert "| colour | 4 |" in card and "| sum | 1 |" in card
    assert str(run.parent) not in card, "no place of this machine"


def test_an_export_keeps_the_card(run: Path, tmp_path: Path) -> None:
    assert run_command(["export", str(run / "model"), str(tmp_path / "out")]) == 0
    card, kept = (folder / "README.md" for folder in (run / "model", tmp_path / "out"))
    assert card.read_text() == kept.read_text()


def test_hub_names_are_told_to_the_hub(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    config = replace(
        config,
        model=replace(config.model, scratch=None, path="owner/base", revision="abc", lora_rank=8),
        data=(SourceConfig(path="hub:owner/set", split="train", revision="v2", limit=1000),),
    )
    data = {"num_train_pairs": 900, "num_multimodal_pairs": 0, "num_train_tokens": 12_345}
    settings = train(tiny_config(tmp_path)).settings
    card = model_card(config, data, settings, None)
    assert 'base_model: "owner/base"\ndatasets: ["owner/set"]\n' in card
    assert "From owner/base (abc), nothing frozen, adapters of rank 8 merged" in card
    assert "| owner/set | train | v2 | 1,000 |" in card
    assert "Nothing was: the run had no validation data." in card
    assert "$" not in card


def test_a_folder_that_looks_like_a_hub_name_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    config = tiny_config(tmp_path)
    model = replace(config.model, scratch=None, path="models/mine")
    data = {"num_train_pairs": 9, "num_multimodal_pairs": 0, "num_train_tokens": 12}
    settings = train(config).settings
    assert "models/mine" not in model_card(replace(config, model=model), data, settings, None)
