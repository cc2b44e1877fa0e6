"""A base model trained on the world in small: it resumes, it is a base model, it trains further."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.training import DeadlyClock, events_of, final_tensors, tiny_config
from vlreward.collation.config import CollationConfig
from vlreward.errors import CheckpointError, Interrupted
from vlreward.modeling.config import ModelConfig, ScratchConfig
from vlreward.scoring import RewardModel
from vlreward.training.config import OptimizerConfig, PretrainConfig, StageConfig
from vlreward.training.pretraining import pretrain
from vlreward.training.run import train

SIZES = ScratchConfig(
    hidden_size=32,
    num_layers=2,
    num_heads=2,
    num_key_value_heads=1,
    vision_hidden_size=32,
    vision_num_layers=1,
    vision_num_heads=2,
)


def config_of(folder: Path) -> PretrainConfig:
    return PretrainConfig(
        output=str(folder / "run"),
        stages=(
            StageConfig(name="names", epochs=1, batch_size=12, learning_rate=1e-3),
            StageConfig(name="answers", epochs=1, batch_size=24, learning_rate=1e-3),
        ),
        scratch=SIZES,
        optimizer=OptimizerConfig(muon=True),
        collation=CollationConfig(max_length=1024, token_budget=2048),
        num_pictures=18,
        num_text_lessons=6,
        num_exam_pictures=18,
        save_every_steps=1,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> PretrainConfig:
    config = config_of(tmp_path_factory.mktemp("finished"))
    assert pretrain(config) == Path(config.output) / "model"
    return config


def test_the_run_tells_its_loss_and_its_exam(finished: PretrainConfig) -> None:
    run = Path(finished.output)
    assert len(events_of(run, "step")) >= 2
    named, validation = events_of(run, "validation")
    assert 0 <= named["overall"]["accuracy"] <= 1
    assert len(validation["tasks"]) == 17
    assert validation["overall"]["num_questions"] >= 20
    assert (run / "curves.png").exists()
    assert pretrain(finished) == run / "model"


@pytest.mark.parametrize(("at_call", "stage"), [(4, "names"), (9, "answers")])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, finished: PretrainConfig, at_call: int, stage: str
) -> None:
    config = config_of(tmp_path)
    with pytest.raises(Interrupted):
        pretrain(config, clock=DeadlyClock(at_call=at_call, signal_number=signal.SIGTERM))
    assert events_of(Path(config.output), "stage")[-1]["name"] == stage
    pretrain(config)
    run, whole = Path(config.output), Path(finished.output)
    assert events_of(run, "step") == events_of(whole, "step")
    tensors, others = final_tensors(run), final_tensors(whole)
    assert all(torch.equal(tensors[name], others[name]) for name in others)


def test_the_model_is_a_base_model_from_which_reward_models_are_trained(
    tmp_path: Path, finished: PretrainConfig
) -> None:
    folder = Path(finished.output) / "model"
    with pytest.raises(CheckpointError, match="without a reward head"):
        RewardModel.load(folder)
    config = replace(tiny_config(tmp_path), model=ModelConfig(path=str(folder), dtype="float32"))
    model = train(config)
    assert len(model.score("Which?", ["Red.", "Blue."])) == 2
