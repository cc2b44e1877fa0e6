"""The page of samples that `vlreward train` leaves beside the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import tiny_config
from vlreward import configuration
from vlreward.cli import run
from vlreward.scoring import RewardModel
from vlreward.training.config import TrainConfig
from vlreward.training.run import train
from vlreward.workflows.samples import SAMPLES, score_samples, write_samples


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, RewardModel]:
    config = tiny_config(tmp_path_factory.mktemp("run"))
    return config, train(config)


def test_samples_have_the_models_own_rewards_the_worst_first(
    trained: tuple[TrainConfig, RewardModel],
) -> None:
    config, model = trained
    samples = score_samples(config, model)
    assert len(samples) == 5
    assert [one.margin for one in samples] == sorted(one.margin for one in samples)
    for one in samples:
        rewards = model.score(one.pair.prompt, [one.pair.chosen, one.pair.rejected])
        assert [one.chosen, one.rejected] == pytest.approx(rewards, abs=1e-5)


def test_the_page_shows_pictures_both_answers_and_rewards(
    trained: tuple[TrainConfig, RewardModel],
) -> None:
    config, model = trained
    path = write_samples(config, model)
    assert path == Path(config.output) / SAMPLES
    page = path.read_text()
    worst = score_samples(config, model)[0]
    assert f"chosen: {worst.chosen:+.3f}" in page and f"rejected: {worst.rejected:+.3f}" in page
    assert "data:image/png;base64," in page and worst.pair.chosen.text in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_command_says_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    for name, validation in (("with", config.validation), ("without", ())):
        own = replace(config, output=str(tmp_path / name), validation=validation)
        file = tmp_path / f"{name}.yaml"
        file.write_text(configuration.to_yaml(own))
        assert run(["train", "--from", str(file), "--output", own.output]) == 0
        assert (SAMPLES in capsys.readouterr().out) == (name == "with")
        assert (tmp_path / name / SAMPLES).exists() == (name == "with")


def test_a_blind_runs_samples_show_what_it_was_given(
    trained: tuple[TrainConfig, RewardModel],
) -> None:
    config, model = trained
    assert any(one.pair.has_pictures for one in score_samples(config, model))
    samples = score_samples(replace(config, blind=True), model)
    assert len(samples) == 5 and not any(one.pair.has_pictures for one in samples)
