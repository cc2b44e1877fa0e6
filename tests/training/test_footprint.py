"""What a run takes, told beforehand, against what it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.support import tiny
from tests.support.families import write_family
from vlreward.errors import ConfigError
from vlreward.modeling import backbones
from vlreward.modeling.config import ModelConfig
from vlreward.modeling.lora import add_adapters
from vlreward.modeling.network import RewardNetwork
from vlreward.training.config import OptimizerConfig
from vlreward.training.footprint import Footprint, Workload, _row, footprint
from vlreward.training.optimizer import MasterOptimizer

WORK = Workload(
    batch_size=4, prompt_tokens=60, picture_tokens=0, answer_tokens=30, token_budget=300
)
KEPT = "kept for the backward pass"


def network_of(folder: Path, kind: str, model: ModelConfig) -> RewardNetwork:
    base = tiny.write_base_model(folder / kind, kind)
    network = tiny.load_tiny(base, dtype=getattr(torch, model.dtype)).network
    backbones.freeze(network.backbone, vision=True, projector=False, language=False)
    if model.lora_rank:
        add_adapters(network.backbone, model)
    backbones.use_tree_attention(network.backbone)
    network.train()
    return network


def measured(network: RewardNetwork, work: Workload) -> tuple[int, float, int]:
    """Bytes kept by a row, operations of both passes, and bytes of the optimizer's numbers."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    optimizer = MasterOptimizer(network, OptimizerConfig())
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        rewards = network(_row(network, work))
        loss = -torch.nn.functional.logsigmoid(rewards[::2] - rewards[1::2]).sum()
        num_kept = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
        loss.backward()
    optimizer.collect_gradients()
    optimizer.step(1e-3)
    state = [t for name, t in optimizer.state().items() if t.ndim and "touched" not in name]
    return num_kept, counter.get_total_flops(), sum(t.numel() * t.element_size() for t in state)


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl", "llama"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_said_is_what_is_measured(tmp_path: Path, kind: str, dtype: str) -> None:
    model = ModelConfig(dtype=dtype)  # type: ignore[arg-type]
    network = network_of(tmp_path, kind, model)
    config = network.backbone.config
    found = footprint(config, model, WORK)
    kept, operations, state = measured(network, WORK)
    assert WORK.pairs_a_row == 2
    assert found.memory[KEPT] == pytest.approx(kept, rel=0.05)
    assert found.operations == pytest.approx(2 * operations, rel=1e-3)
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    unused = [p for name, p in trained.items() if "visual" in name]  # no picture, no step
    masters = 4 if dtype == "bfloat16" else 0
    state += sum(p.numel() * (2 * 4 + 0 * masters) for p in unused)
    assert found.memory["optimizer"] == pytest.approx(state, rel=1e-6)
    assert found.memory["weights"] == sum(
        p.numel() * p.element_size() for p in network.parameters()
    )
    assert sum(found.parameters.values()) == sum(p.numel() for p in network.parameters())


def test_adapters_are_counted_as_peft_makes_them(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    model = ModelConfig(dtype="float32", lora_rank=4)
    network = network_of(tmp_path, "qwen2_5_vl", model)
    config = tiny.load_tiny(tmp_path / "qwen2_5_vl").network.backbone.config
    found = footprint(config, model, WORK)
    kept, operations, _ = measured(network, WORK)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert found.num_trained == trained
    assert found.memory[KEPT] == pytest.approx(kept, rel=0.15)
    assert found.operations == pytest.approx(2 * operations, rel=0.02)


def of(tmp_path: Path, work: Workload = WORK, **model: object) -> Footprint:
    base = tmp_path / "base"
    if not base.exists():
        tiny.write_base_model(base, "qwen2_5_vl")
    config = tiny.load_tiny(base).network.backbone.config
    return footprint(config, ModelConfig(**model), work)  # type: ignore[arg-type]


def test_processes_share_weights_and_rows(tmp_path: Path) -> None:
    one, four = of(tmp_path), of(tmp_path, replace(WORK, num_processes=4))
    for name in ("weights", "gradients", "optimizer"):
        assert four.memory[name] == one.memory[name] / 4
    assert four.memory["gathered from other processes"] > 0
    assert four.memory[KEPT] < one.memory[KEPT]
    assert replace(WORK, num_processes=4).rows_a_step == 1


def test_checkpointing_keeps_less(tmp_path: Path) -> None:
    assert of(tmp_path, gradient_checkpointing=True).memory[KEPT] < of(tmp_path).memory[KEPT]


def test_pictures_cost_their_encoding_unless_that_is_done_before(tmp_path: Path) -> None:
    work = replace(WORK, picture_tokens=40, token_budget=500)
    plain, ahead = of(tmp_path, work), of(tmp_path, replace(work, encoded_ahead=True))
    assert plain.operations > ahead.operations
    assert "vision encoder at work" in plain.memory
    assert ahead.memory["vision encoder at work"] == 0


def test_a_backbone_that_cannot_be_packed_is_refused(tmp_path: Path) -> None:
    config = tiny.load_tiny(tiny.write_base_model(tmp_path / "b", "llama")).network.backbone.config
    config.layer_types = ["linear_attention"] * config.num_hidden_layers
    with pytest.raises(ConfigError, match="packing-impossible"):
        footprint(config, ModelConfig(), WORK)


def test_pictures_in_tiles_are_not_reckoned_with(tmp_path: Path) -> None:
    config = tiny.load_tiny(write_family(tmp_path, "smolvlm")).config
    with pytest.raises(ConfigError, match=r"smolvlm.*dry-run"):
        footprint(config, ModelConfig(), WORK)
