"""The next-token objective gives the losses and the words of transformers' own model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from tests.support import tiny
from vlreward.collation.config import CollationConfig
from vlreward.errors import DataError
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint, save_base_model
from vlreward.modeling.encoders import encoder_for
from vlreward.records import Demonstration
from vlreward.training.config import OptimizerConfig
from vlreward.training.loop import train_step
from vlreward.training.next_token import NextTokenObjective, answers_right
from vlreward.training.optimizer import MasterOptimizer

PICTURE, OTHER = tiny.picture(1), tiny.picture(2, width=90)
DEMONSTRATIONS = [
    Demonstration(prompt=prompt, response=tiny.response(answer))
    for prompt, answer in (
        (tiny.prompt(PICTURE, "Which colour?"), "Red."),
        (tiny.prompt(PICTURE, "How many are there?"), "There are three of them."),
        (tiny.prompt(PICTURE, OTHER, "Which is larger?"), "The second."),
        (tiny.prompt("What is 2 + 2?"), "4."),
    )
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> RewardCheckpoint:
    folder = tiny.write_base_model(tmp_path_factory.mktemp("base"), "qwen2_5_vl", tied=True)
    loaded = tiny.load_tiny(folder)
    backbones.use_tree_attention(loaded.network.backbone)
    return loaded


@pytest.fixture(scope="module")
def full(checkpoint: RewardCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Transformers' own model of the same weights, read from the folder that we write."""
    folder = tmp_path_factory.mktemp("full") / "model"
    save_base_model(checkpoint, folder)
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder).eval()


def objective_of(checkpoint: RewardCheckpoint, **collation: Any) -> NextTokenObjective:
    config = CollationConfig(**({"max_length": 1024, "token_budget": 4096} | collation))
    encoder = encoder_for(checkpoint, config)
    return NextTokenObjective(
        network=checkpoint.network, encoder=encoder, token_budget=config.token_budget
    )


def as_inputs(objective: NextTokenObjective, item: Demonstration) -> tuple[dict[str, Any], int]:
    """One conversation as transformers reads it, and how many tokens come before the answer."""
    row = objective.make_rows([item])[0]
    batch = row.batch
    inputs = {
        "input_ids": batch.input_ids,
        "attention_mask": torch.ones_like(batch.input_ids),
        "mm_token_type_ids": (batch.input_ids == objective.encoder.image_token_id).int(),
    }
    if batch.pixel_values is not None:
        inputs |= {"pixel_values": batch.pixel_values, "image_grid_thw": batch.image_grid_thw}
    return inputs, batch.input_ids.shape[1] - row.lengths[0]


def test_losses_are_those_of_transformers_own_model(
    checkpoint: RewardCheckpoint, full: Any
) -> None:
    objective = objective_of(checkpoint)
    checkpoint.network.eval()
    [row] = objective.make_rows(DEMONSTRATIONS)
    expected = 0.0
    for item in DEMONSTRATIONS:
        inputs, num_before = as_inputs(objective, item)
        labels = inputs["input_ids"].clone()
        labels[:, :num_before] = -100
        found = full(**inputs, labels=labels)
        expected += found.loss.item() * int((labels != -100).sum())
    with torch.no_grad():
        cost = objective.cost(row)
    assert float(cost.loss) == pytest.approx(expected, rel=1e-5)
    assert row.num_units == sum(row.lengths)


def test_a_picture_shown_by_several_is_read_once(checkpoint: RewardCheckpoint) -> None:
    objective = objective_of(checkpoint)
    [row] = objective.make_rows(DEMONSTRATIONS)
    assert row.batch.image_grid_thw is not None
    assert len(row.batch.image_grid_thw) == 3  # one shared, and the pair of the third
    assert len(row.batch.structure) == 3


def test_rows_of_any_size_make_the_same_step(tmp_path: Path) -> None:
    metrics = []
    for token_budget in (1, 4096):
        fresh = tiny.load_tiny(tiny.write_base_model(tmp_path / str(token_budget), "qwen2_5_vl"))
        backbones.use_tree_attention(fresh.network.backbone)
        objective = objective_of(fresh, token_budget=token_budget)
        optimizer = MasterOptimizer(fresh.network, OptimizerConfig())
        rows = objective.make_rows(DEMONSTRATIONS)
        found = train_step(objective, optimizer, rows, learning_rate=1e-3)
        metrics.append((len(rows), found.loss, found.gradient_norm))
    (many, *small), (one, *large) = metrics
    assert (many, one) == (3, 1)
    assert small == pytest.approx(large, rel=1e-5)


def test_an_answer_is_right_exactly_if_a_greedy_decoder_writes_it(
    checkpoint: RewardCheckpoint, full: Any
) -> None:
    objective = objective_of(checkpoint)
    checkpoint.network.eval()
    for item in DEMONSTRATIONS:
        [row] = objective.make_rows([item])
        inputs, num_before = as_inputs(objective, item)
        for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            inputs[name] = inputs[name][:, :num_before]
        length = row.lengths[0]
        written = full.generate(
            **inputs, max_new_tokens=length, min_new_tokens=length, do_sample=False
        )[0, num_before:]
        ids = row.batch.input_ids.clone()
        ids[0, num_before:] = written
        as_written = replace(row, batch=replace(row.batch, input_ids=ids), target_A=written)
        assert objective.exact(as_written) == [True]
        assert objective.exact(row) == [bool((written == row.target_A).all())]
    assert list(answers_right(objective, DEMONSTRATIONS)) == [False] * 4


def test_what_does_not_fit_is_refused(checkpoint: RewardCheckpoint) -> None:
    objective = objective_of(checkpoint, max_length=20)
    with pytest.raises(DataError, match="row-too-long"):
        objective.make_rows(DEMONSTRATIONS)


def test_answers_do_not_teach_the_vision_encoder(checkpoint: RewardCheckpoint) -> None:
    objective = objective_of(checkpoint)
    [row] = objective.make_rows(DEMONSTRATIONS[:1])
    objective.cost(row).loss.backward()
    taught = {name for name, p in checkpoint.network.named_parameters() if p.grad is not None}
    checkpoint.network.zero_grad(set_to_none=True)
    assert any("language_model" in name for name in taught)
    assert not any("visual" in name for name in taught)
