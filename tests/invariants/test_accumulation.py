"""Gradients belong to the global batch, however many forward passes it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.training import objective_of, tiny_config
from vlreward.records import PreferencePair, Response
from vlreward.scoring import RewardModel
from vlreward.sources.read import load_preferences
from vlreward.training.comparisons import PairRow, rows_of_batch
from vlreward.training.config import OptimizerConfig
from vlreward.training.embedding_adamw import sparse_gradients
from vlreward.training.loop import StepMetrics, train_step
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.setup import build_model

# AdamW's first step is the gradient's sign: an epsilon far above any gradient makes the weights
# follow the gradients themselves.
OPTIMIZER = OptimizerConfig(epsilon=1e3)
RATE = 1e4


@pytest.fixture
def pairs(tmp_path: Path) -> list[PreferencePair]:
    """Eight pairs with pictures and without, two of which answer one prompt."""
    loaded = load_preferences(tiny_config(tmp_path).data).pairs
    shared = replace(loaded[0], rejected=loaded[1].rejected)
    return [*loaded[:4], shared, *loaded[-3:]]


def step_of(
    folder: Path, pairs: list[PreferencePair], *, token_budget: int
) -> tuple[list[PairRow], StepMetrics, dict[str, Tensor]]:
    """The rows, the metrics and the change of each weight in one step from the same start."""
    model: RewardModel = build_model(tiny_config(folder), device=torch.device("cpu"))
    network = model.checkpoint.network.train()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    rows = rows_of_batch(
        pairs, model.encoder, token_budget=token_budget, packed=True, use_margin=False
    )
    with sparse_gradients(network):
        optimizer = MasterOptimizer(network, OPTIMIZER)
        metrics = train_step(objective_of(model), optimizer, rows, learning_rate=RATE)
    return rows, metrics, {n: p.detach() - before[n] for n, p in network.named_parameters()}


def test_many_small_passes_make_the_step_of_one_large_pass(
    tmp_path: Path, pairs: list[PreferencePair]
) -> None:
    small, small_metrics, small_change = step_of(tmp_path, pairs, token_budget=1)
    large, large_metrics, large_change = step_of(tmp_path, pairs, token_budget=100_000)
    assert (len(small), len(large)) == (8, 1)
    assert sum(len(row.pair_ids) for row in small) == len(large[0].pair_ids) == 8
    assert small_metrics.num_tokens > large_metrics.num_tokens  # one prompt is laid out twice
    small_metrics = small_metrics._replace(num_tokens=large_metrics.num_tokens)
    found, expected = small_metrics.as_fields(), large_metrics.as_fields()
    # A small difference of rewards, which are rounded.
    assert found.pop("mean_margin") == pytest.approx(expected.pop("mean_margin"), abs=1e-6)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)
    one, other = (
        torch.cat([change[name].flatten() for name in sorted(change)]).double()
        for change in (small_change, large_change)
    )
    assert other.norm() > 0
    assert (one - other).norm() <= 1e-6 * other.norm()


@pytest.mark.parametrize("packed", [True, False])
def test_no_row_exceeds_the_budget_unless_it_holds_a_single_pair(
    tmp_path: Path, *, packed: bool
) -> None:
    model = build_model(tiny_config(tmp_path), device=torch.device("cpu"))
    [first, *_] = load_preferences(tiny_config(tmp_path).data).pairs
    crowd = [
        replace(first, rejected=Response(content=(f"It is colour number {index}.",)))
        for index in range(40)
    ]
    rows = rows_of_batch(crowd, model.encoder, token_budget=250, packed=packed, use_margin=False)
    assert sum(len(row.pair_ids) for row in rows) == len(crowd)
    assert max(len(row.pair_ids) for row in rows) > 1
    for row in rows:
        assert row.batch.input_ids.numel() <= 250 or len(row.pair_ids) == 1


def test_many_responses_to_one_prompt_are_scored_within_the_budget(tmp_path: Path) -> None:
    model = build_model(tiny_config(tmp_path), device=torch.device("cpu"))
    [first, *_] = load_preferences(tiny_config(tmp_path).data).pairs
    responses = [Response(content=(f"It is colour number {index}.",)) for index in range(40)]
    model.token_budget = 100_000
    [together] = model.score_many([(first.prompt, responses)])
    model.token_budget = 100
    [apart] = model.score_many([(first.prompt, responses)])
    assert [s.value for s in apart] == pytest.approx([s.value for s in together], abs=1e-5)
