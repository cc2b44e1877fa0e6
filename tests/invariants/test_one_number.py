"""A response has one reward: in validation while training, in Python, in the shell, reloaded."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.training import events_of, tiny_config
from vlreward import cli
from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.sources.read import load_preferences
from vlreward.training.run import train

TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished run, the model it returned, its validation data, and that model's rewards."""

    run: Path
    model: RewardModel
    data: Path
    pairs: list[PreferencePair]
    rewards: list[list[float]]


def rewards_of(model: RewardModel, pairs: list[PreferencePair]) -> list[list[float]]:
    return [model.score(pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    config = tiny_config(tmp_path_factory.mktemp("one-number"), validate_every_steps=0)
    model = train(config)
    pairs = load_preferences(config.validation).pairs
    return Trained(
        run=Path(config.output),
        model=model,
        data=Path(config.validation[0].path),
        pairs=pairs,
        rewards=rewards_of(model, pairs),
    )


def assert_same(found: list[list[float]], expected: list[list[float]]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=TOLERANCE, abs=TOLERANCE)


def test_the_rewards_differ(trained: Trained) -> None:
    assert len({round(reward, 4) for pair in trained.rewards for reward in pair}) > 5


def test_validation_in_training_is_the_python_api(trained: Trained) -> None:
    last = events_of(trained.run, "validation")[-1]["overall"]
    margins = [chosen - rejected for chosen, rejected in trained.rewards]
    assert last["mean_margin"] == pytest.approx(statistics.fmean(margins), abs=TOLERANCE)
    assert last["accuracy"] == sum(margin > 0 for margin in margins) / len(margins)


def test_a_finished_run_started_again_returns_the_same_model(trained: Trained) -> None:
    again = train(tiny_config(trained.run.parent, validate_every_steps=0))
    assert_same(rewards_of(again, trained.pairs), trained.rewards)
    assert again.settings == trained.model.settings


def test_the_saved_model_reloaded_gives_the_same_rewards(trained: Trained) -> None:
    reloaded = RewardModel.load(trained.run / "model")
    assert_same(rewards_of(reloaded, trained.pairs), trained.rewards)


@pytest.mark.parametrize("layout", ["value-head", "sequence-classification"])
def test_an_export_reloaded_gives_the_same_rewards(
    trained: Trained, tmp_path: Path, layout: str
) -> None:
    out = tmp_path / "export"
    command = ["export", str(trained.run / "model"), str(out), "--layout", layout]
    assert cli.run([*command, "--dtype", "float32"]) == 0
    assert (out / "value_head.safetensors").exists() == (layout == "value-head")
    assert_same(rewards_of(RewardModel.load(out), trained.pairs), trained.rewards)


def test_the_shell_gives_the_same_rewards(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "scores.jsonl"
    command = ["score", str(trained.data), "--model", str(trained.run / "model")]
    assert cli.run([*command, "--output", str(out)]) == 0
    found = [json.loads(line)["rewards"] for line in out.read_text().splitlines()]
    assert_same(found, trained.rewards)
