"""Pairs that words alone decide count less."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support import tiny
from tests.support.training import TWO_STAGES, events_of, tiny_config
from vlreward.errors import CheckpointError, ConfigError
from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.training.config import ObjectiveConfig, TrainConfig
from vlreward.training.objectives import PairwiseLoss
from vlreward.training.pairwise import PairwiseObjective
from vlreward.training.rehearsal import rehearse
from vlreward.training.run import train
from vlreward.training.shortcuts import blind, losses_of_words, weights_of


def test_the_weight_is_the_proxys_share_of_both_losses_doubled():
    loss_P = torch.tensor([0.2, 0.2, 0.2, 0.2], requires_grad=True)
    words = {"same": 0.2, "fooled": 1.8, "sure": 0.0}
    found = weights_of(loss_P, pair_ids=["same", "fooled", "sure", "unknown"], words=words)
    assert found.tolist() == pytest.approx([1.0, 1.8, 0.0, 1.0], abs=1e-4)
    assert not found.requires_grad


def test_a_pair_that_both_are_certain_of_has_a_finite_weight():
    found = weights_of(torch.zeros(1), pair_ids=["a"], words={"a": 0.0})
    assert found.tolist() == [1.0]


def test_a_blind_pair_has_words_for_its_pictures():
    pair = PreferencePair(
        prompt=tiny.prompt("See ", tiny.picture(1), " and ", tiny.picture(2)),
        chosen=tiny.response("As in ", tiny.picture(3)),
        rejected=tiny.response("No."),
    )
    found = blind(pair)
    assert not found.has_pictures
    assert "".join(found.prompt.messages[0].content) == "See [picture 1] and [picture 2]"
    assert found.chosen.text == "As in [picture]" and found.rejected == pair.rejected


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stages = tuple(replace(stage, select="all") for stage in TWO_STAGES)
    config = replace(
        tiny_config(tmp_path_factory.mktemp("proxy"), stages=stages), blind=True, validation=()
    )
    train(config)
    return Path(config.output) / "model"


def weighed(folder: Path, proxy: Path) -> TrainConfig:
    return replace(tiny_config(folder), objective=ObjectiveConfig(words_alone=str(proxy)))


def test_a_run_weighs_pairs_with_pictures_and_resumes_with_the_same_weights(
    proxy: Path, tmp_path: Path
) -> None:
    config = weighed(tmp_path, proxy)
    train(config)
    path = Path(config.output) / "words-alone.json"
    first = events_of(Path(config.output), "step")
    plain = tiny_config(tmp_path / "plain")
    train(plain)
    others = events_of(Path(plain.output), "step")
    assert [one["loss"] for one in first] != [one["loss"] for one in others]
    assert first[0]["accuracy"] == others[0]["accuracy"]
    assert path.exists()


def test_the_proxy_reads_words_alone(proxy: Path, tmp_path: Path) -> None:
    model = RewardModel.load(proxy, dtype="float32")
    shown = PreferencePair(
        prompt=tiny.prompt("Which? ", tiny.picture(1)),
        chosen=tiny.response("Red."),
        rejected=tiny.response("Blue."),
    )
    other = replace(shown, prompt=tiny.prompt("Which? ", tiny.picture(2)))
    text = blind(shown)
    found = losses_of_words(model, [shown, other, text], advance=lambda: None)
    chosen, rejected = model.score(text.prompt, [text.chosen, text.rejected])
    expected = math.log1p(math.exp(rejected - chosen))
    assert found == {one.id: pytest.approx(expected, abs=1e-5) for one in (shown, other)}


def test_a_proxy_that_is_not_there_or_makes_no_sense_is_refused(tmp_path: Path) -> None:
    config = weighed(tmp_path, tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="model-folder-missing"):
        train(config)
    assert not Path(config.output).exists()
    with pytest.raises(ConfigError, match="all is words"):
        replace(config, blind=True)


def test_a_proxy_without_a_reward_head_is_missed_before_anything_is_read(tmp_path: Path) -> None:
    for start in (train, rehearse):
        with pytest.raises(CheckpointError, match="reward-head-missing"):
            start(weighed(tmp_path, Path("miniature-base")))


class Said(nn.Module):
    """Gives these rewards, whatever it reads."""

    device = torch.device("cpu")

    def forward(self, _batch: object) -> torch.Tensor:
        return torch.tensor([1.0, 0.0, 11.0, 10.0])


def test_other_terms_of_the_loss_change_no_weight(tmp_path: Path) -> None:
    """Two pairs of one margin weigh the same, however far their rewards are from zero."""
    encoder = tiny.reward_model(tiny.load_tiny(tiny.write_base_model(tmp_path, "llama"))).encoder
    objective = PairwiseObjective(
        network=Said(),  # type: ignore[arg-type]
        encoder=encoder,
        loss=PairwiseLoss(centering=0.1),
        token_budget=1000,
        packed=True,
        use_margin=False,
    )
    pairs = [
        PreferencePair(
            prompt=tiny.prompt(text), chosen=tiny.response("A."), rejected=tiny.response("B.")
        )
        for text in ("One?", "Two?")
    ]
    objective = replace(objective, words={pair.id: 0.3 for pair in pairs})
    [row] = objective.make_rows(pairs)
    ranking = math.log1p(math.exp(-1))
    weight = 2 * 0.3 / (0.3 + ranking)
    expected = weight * (2 * ranking + 0.1 * (1 + 21**2))
    assert float(objective.cost(row).loss) == pytest.approx(expected, rel=1e-4)
