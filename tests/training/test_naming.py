"""Naming: which words belong to which token, what the loss is, and that it teaches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import one_hot

from tests.support import tiny
from vlreward.collation.picture_preparation import PicturePreparation
from vlreward.collation.text import load_tokenizer
from vlreward.errors import ConfigError
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint
from vlreward.training.config import OptimizerConfig
from vlreward.training.loop import train_step
from vlreward.training.naming import (
    NamedPicture,
    NamingNetwork,
    NamingObjective,
    Vocabulary,
    shares_of,
)
from vlreward.training.optimizer import MasterOptimizer
from vlreward.world.canvas import Mark

PREPARATION = PicturePreparation()
PICTURE = tiny.picture(1, width=84, height=56)
MARKS = (
    Mark(0.1, 0.1, "red", "red circle 12 left top bottom"),
    Mark(0.2, 0.2, "circle"),
    Mark(0.99, 0.99, "7", "7"),
    Mark(0.99, 0.99, "line", "line x"),
    Mark(1.0, -0.1, "x"),
)
NAMED = NamedPicture.of(PICTURE, marks=MARKS, preparation=PREPARATION)


@pytest.fixture
def checkpoint(tmp_path: Path) -> RewardCheckpoint:
    loaded = tiny.load_tiny(tiny.write_base_model(tmp_path / "base", "qwen2_5_vl", tied=True))
    backbones.use_tree_attention(loaded.network.backbone)
    return loaded


def objective_of(checkpoint: RewardCheckpoint) -> NamingObjective:
    torch.manual_seed(0)
    return NamingObjective(
        network=NamingNetwork(checkpoint.network),
        vocabulary=Vocabulary.of([NAMED], load_tokenizer(checkpoint.text_folder)),
        preparation=PREPARATION,
    )


def test_marks_fall_into_the_tokens_that_stand_for_their_places() -> None:
    nothing = ("nothing",)
    whole = [part[0] for part in NAMED.parts]
    assert whole == [("circle", "red"), nothing, ("x",), nothing, nothing, ("7", "line")]
    assert len(NAMED.parts) == PREPARATION.num_tokens(PICTURE)


def test_phrases_are_said_word_by_word_and_digit_by_digit() -> None:
    nothing = ("nothing",)
    assert NAMED.parts[0][1:] == (("red",), ("circle",), ("1",), ("2",), ("left",))
    assert NAMED.parts[1][1:] == (nothing,) * 5


def test_where_two_phrases_meet_both_are_said() -> None:
    nothing = ("nothing",)
    assert NAMED.parts[5][1:] == (("7", "line"), ("nothing", "x"), nothing, nothing, nothing)


def test_words_of_a_saying_have_equal_shares(checkpoint: RewardCheckpoint) -> None:
    vocabulary = objective_of(checkpoint).vocabulary
    shares_MSW = shares_of([NAMED, NAMED], vocabulary)
    assert shares_MSW.shape == (12, 6, 9)
    assert torch.allclose(shares_MSW.sum(dim=2), torch.ones(12, 6))
    words = vocabulary.index_of
    assert shares_MSW[6, 0, words["red"]] == shares_MSW[0, 0, words["circle"]] == 0.5


def test_the_loss_is_the_divergence_from_the_words_shares(checkpoint: RewardCheckpoint) -> None:
    objective = objective_of(checkpoint)
    [row] = objective.make_rows([NAMED])
    assert row.num_units == 6
    with torch.no_grad():
        state_MC = checkpoint.network.picture_states(row.pixel_values, grids=row.grids)
        embedding = checkpoint.network.backbone.get_input_embeddings().weight
        words_WC = embedding[objective.vocabulary.token_ids_W2].mean(dim=1)
        odds_MSW = (objective.network.saying_states(state_MC) @ words_WC.T).softmax(dim=2)
        assert torch.allclose(odds_MSW[:, 0], (state_MC @ words_WC.T).softmax(dim=1))
        expected = 0.0
        for token, part in enumerate(NAMED.parts):
            for saying, words in enumerate(part):
                for word in words:
                    said = float(odds_MSW[token, saying, objective.vocabulary.index_of[word]])
                    expected += (math.log(1 / len(words)) - math.log(said)) / len(words)
        assert float(objective.cost(row).loss) == pytest.approx(expected, rel=1e-4)


def test_it_learns_to_name_and_leaves_the_language_model_alone(
    checkpoint: RewardCheckpoint,
) -> None:
    objective = objective_of(checkpoint)
    network = objective.network
    before = {
        name: p.detach().clone()
        for name, p in network.named_parameters()
        if "language_model.layers" in name
    }
    optimizer = MasterOptimizer(network, OptimizerConfig(muon=True))
    for _ in range(60):
        rows = objective.make_rows([NAMED])
        metrics = train_step(objective, optimizer, rows, learning_rate=1e-2)
    assert metrics.means["accuracy"] == 1.0
    now = dict(network.named_parameters())
    assert all(torch.equal(now[name], tensor) for name, tensor in before.items())


def test_a_token_is_right_if_all_its_sayings_are(checkpoint: RewardCheckpoint) -> None:
    objective = objective_of(checkpoint)
    vocabulary = objective.vocabulary
    embedding = checkpoint.network.backbone.get_input_embeddings().weight
    words_WC = embedding[objective.vocabulary.token_ids_W2].mean(dim=1)
    state_MC = torch.randn(3, words_WC.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        said_MS = (objective.network.saying_states(state_MC) @ words_WC.T).argmax(dim=-1)
        shares_MSW = one_hot(said_MS, len(words_WC)).float()
        assert objective.network.naming_loss(
            state_MC, shares_MSW, vocabulary=vocabulary
        ).totals == {"accuracy": 3.0}
        shares_MSW[0, 4] = shares_MSW[0, 4].roll(1)
        assert objective.network.naming_loss(
            state_MC, shares_MSW, vocabulary=vocabulary
        ).totals == {"accuracy": 2.0}


def test_words_that_the_tokenizer_cannot_tell_apart_are_refused() -> None:
    class Same:
        class hugging_face:
            @staticmethod
            def encode(_text: str, **_options: object) -> list[int]:
                return [3]

    with pytest.raises(ConfigError, match="red") as refused:
        Vocabulary.of([NAMED], Same())  # type: ignore[arg-type]
    assert refused.value.place == "scratch.tokenizer"
