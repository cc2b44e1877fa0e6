"""A run that trains adapters: resumed bit for bit, and exported so that nobody needs peft."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support import tiny
from tests.support.training import DeadlyClock, Killed, final_tensors, tiny_config
from vlreward.errors import ConfigError, MissingExtraError
from vlreward.scoring import RewardModel
from vlreward.training.config import TrainConfig
from vlreward.training.run import train


def config_of(folder: Path) -> TrainConfig:
    config = tiny_config(folder)
    return replace(config, model=replace(config.model, freeze_vision=True, lora_rank=2))


def test_a_killed_run_goes_on_and_its_model_is_plain(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    whole = train(config_of(tmp_path / "whole"))
    config = config_of(tmp_path / "killed")
    with pytest.raises(Killed):
        train(config, clock=DeadlyClock(at_call=9))
    train(config)
    ours, resumed = (final_tensors(tmp_path / name / "run") for name in ("whole", "killed"))
    assert ours.keys() == resumed.keys()
    assert all(torch.equal(ours[name], resumed[name]) for name in ours)

    checkpoint = [name for name in ours if name.startswith("step-") and "model.safetensors" in name]
    assert any(".lora_A." in name for name in checkpoint)
    assert not any("base_layer" in name or "embed_tokens" in name for name in checkpoint)

    exported = [name for name in ours if name.startswith("model/")]
    assert exported and not any("lora" in name or "base_layer" in name for name in exported)
    loaded = RewardModel.load(tmp_path / "whole" / "run" / "model")
    question, answers = "What is 3 plus one?", ["It is 4.", "It is 5, I am quite sure."]
    assert loaded.score(question, answers) == pytest.approx(whole.score(question, answers))


def test_adapters_are_not_put_on_another_base_model(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    base = tiny.write_base_model(tmp_path / "base", "qwen2_5_vl")
    config = config_of(tmp_path)
    config = replace(config, model=replace(config.model, path=str(base), scratch=None))
    with pytest.raises(Killed):
        train(config, clock=DeadlyClock(at_call=9))
    shutil.rmtree(base)
    tiny.write_base_model(base, "qwen2_5_vl", seed=1)
    with pytest.raises(ConfigError) as refused:
        train(config)
    assert refused.value.code == "base-model-differs"


def test_without_peft_it_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtraError) as missing:
        train(config_of(tmp_path))
    assert "vlreward[lora]" in str(missing.value)
    assert not (tmp_path / "run").exists()
