"""What is frozen stands still, and every other weight moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support import tiny
from tests.support.training import objective_of, tiny_config
from vlreward.modeling.backbones import part_of
from vlreward.modeling.config import ModelConfig
from vlreward.sources.read import load_preferences
from vlreward.training.comparisons import rows_of_batch
from vlreward.training.config import OptimizerConfig
from vlreward.training.loop import train_step
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.setup import build_model

PARTS = ("vision", "projector", "language", "head")


def parts_that_moved(folder: Path, kind: str, *, frozen: tuple[str, ...]) -> dict[str, set[bool]]:
    """For each part, whether its parameters moved in two steps: {True}, {False} or both."""
    base = tiny.write_base_model(folder / "base", kind)
    freeze = {f"freeze_{part}": part in frozen for part in PARTS[:3]}
    model_config = ModelConfig(path=str(base), dtype="float32", head="mlp", **freeze)
    config = replace(tiny_config(folder), model=model_config)
    model = build_model(config, device=torch.device("cpu"))
    network = model.checkpoint.network.train()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = MasterOptimizer(network, OptimizerConfig())
    pairs = load_preferences(config.data).pairs
    for _ in range(2):
        rows = rows_of_batch(pairs, model.encoder, token_budget=4096, packed=True, use_margin=False)
        # The difference of two rewards knows nothing of the head's bias; the centring term does.
        train_step(objective_of(model, centering=0.1), optimizer, rows, learning_rate=1e-2)
    moved: dict[str, set[bool]] = {part: set() for part in PARTS}
    for name, parameter in network.named_parameters():
        inner = name.removeprefix("backbone.")
        part = "head" if name.startswith("head.") else part_of(inner)
        moved[part].add(not torch.equal(parameter, before[name]))
    return moved


@pytest.mark.parametrize("kind", tiny.VISION_KINDS)
def test_as_in_the_paper_all_but_the_vision_encoder_moves(tmp_path: Path, kind: str) -> None:
    moved = parts_that_moved(tmp_path, kind, frozen=("vision",))
    assert moved == {"vision": {False}, "projector": {True}, "language": {True}, "head": {True}}


@pytest.mark.parametrize("frozen", [(), ("projector",), ("vision", "projector", "language")])
def test_each_part_is_frozen_by_itself(tmp_path: Path, frozen: tuple[str, ...]) -> None:
    moved = parts_that_moved(tmp_path, "qwen2_5_vl", frozen=frozen)
    assert moved == {part: {part not in frozen} for part in PARTS}
