"""Adapters on the language model: what is trained, packing with them, and merging."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support import tiny
from vlreward.collation.encoding import Tree
from vlreward.collation.packing import pack, pad
from vlreward.modeling import backbones
from vlreward.modeling.config import ModelConfig
from vlreward.modeling.lora import add_adapters, has_adapters, merge_adapters
from vlreward.scoring import RewardModel

pytest.importorskip("peft")

CONFIG = ModelConfig(path="unused", lora_rank=3)


def adapted(folder: Path, kind: str, *, freeze_projector: bool = False) -> RewardModel:
    """A model with adapters that change something."""
    checkpoint = tiny.load_tiny(tiny.write_base_model(folder, kind))
    backbone = checkpoint.network.backbone
    backbones.freeze(backbone, vision=True, projector=freeze_projector, language=False)
    add_adapters(backbone, CONFIG)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if ".lora_B." in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return tiny.reward_model(checkpoint)


def trees_for(model: RewardModel, kind: str) -> list[Tree]:
    content = (tiny.picture(1), "Which is it?") if kind in tiny.VISION_KINDS else ("Which is it?",)
    responses = [tiny.response(text) for text in ("Red.", "It is blue.", "Neither of them.")]
    return [model.encoder.encode(tiny.prompt(*content), responses) for _ in range(2)]


@pytest.fixture(params=["qwen2_5_vl", "qwen3_vl", "llama", "qwen3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rewards_and_gradients(model: RewardModel, batch: object) -> tuple[Tensor, dict[str, Tensor]]:
    network = model.checkpoint.network
    network.zero_grad()
    rewards: Tensor = network(batch)
    rewards.pow(2).sum().backward()
    found = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    return rewards.detach(), found


def test_new_adapters_change_no_reward(tmp_path: Path) -> None:
    plain = tiny.reward_model(tiny.load_tiny(tiny.write_base_model(tmp_path / "a", "qwen2_5_vl")))
    checkpoint = tiny.load_tiny(tmp_path / "a")
    add_adapters(checkpoint.network.backbone, CONFIG)
    fresh = tiny.reward_model(checkpoint)
    batch = pack(trees_for(plain, "qwen2_5_vl"), plain.encoder.preparation)
    with torch.no_grad():
        assert torch.equal(plain.checkpoint.network(batch), fresh.checkpoint.network(batch))


def test_adapters_projector_and_head_are_trained_and_nothing_else(tmp_path: Path) -> None:
    network = adapted(tmp_path / "free", "qwen2_5_vl").checkpoint.network
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {n for n in trained if "visual" in n} == {
        n for n, _ in network.named_parameters() if ".merger." in n
    }
    language = [n for n in trained if "visual" not in n and n.startswith("backbone.")]
    assert language and all(".lora_" in name for name in language)
    assert {n for n in trained if n.startswith("head.")} == {
        f"head.{n}" for n, _ in network.head.named_parameters()
    }
    frozen = adapted(tmp_path / "frozen", "qwen2_5_vl", freeze_projector=True).checkpoint.network
    assert not any(p.requires_grad for n, p in frozen.named_parameters() if "visual" in n)


def test_packed_and_padded_agree_with_adapters(kind: str, tmp_path: Path) -> None:
    model = adapted(tmp_path / "base", kind)
    trees = trees_for(model, kind)
    packed, ours = rewards_and_gradients(model, pack(trees, model.encoder.preparation))
    padded, theirs = rewards_and_gradients(model, pad(trees, model.encoder.preparation))
    torch.testing.assert_close(packed, padded, rtol=1e-5, atol=1e-5)
    assert ours.keys() == theirs.keys()
    assert any(".lora_A." in name for name in ours)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-5)


def test_merged_rewards_are_those_before_and_no_adapter_is_left(kind: str, tmp_path: Path) -> None:
    model = adapted(tmp_path / "base", kind)
    network = model.checkpoint.network
    batch = pack(trees_for(model, kind), model.encoder.preparation)
    plain = tiny.reward_model(tiny.load_tiny(tmp_path / "base"))
    with torch.no_grad():
        before, without = network(batch), plain.checkpoint.network(batch)
        assert has_adapters(network.backbone)
        merge_adapters(network.backbone)
        merge_adapters(network.backbone)
        after = network(batch)
    assert float((before - without).abs().max()) > 1e-2
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    names = {name for name, _ in network.backbone.named_parameters()}
    assert names == {name for name, _ in plain.checkpoint.network.backbone.named_parameters()}
