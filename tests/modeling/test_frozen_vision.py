"""Encoder and projector apart come to what the whole vision tower does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.tiny import load_tiny, picture, prompt, response, reward_model, write_base_model
from vlreward.collation.packing import pack, picture_tensors
from vlreward.modeling import backbones
from vlreward.modeling.frozen_vision import (
    encode_pictures,
    explain_inseparable,
    project_pictures,
)


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl"])
def test_pictures_encoded_ahead_give_the_same_rewards_and_gradients(
    kind: str, tmp_path: Path
) -> None:
    model = reward_model(load_tiny(write_base_model(tmp_path / "base", kind)))
    network, encoder = model.checkpoint.network, model.encoder
    first, second = picture(1), picture(2, width=140, height=84)
    backbones.freeze(network.backbone, vision=True, projector=False, language=False)
    trees = [
        encoder.encode(
            prompt("See", first, second, "Which?"), [response("One."), response("Two.")]
        ),
        encoder.encode(prompt(second, "What?"), [response("A star.", first), response("A sun.")]),
    ]
    assert encoder.preparation is not None
    pixel_values, grids = picture_tensors([first, second], encoder.preparation)
    found = encode_pictures(network.backbone, pixel_values, grids)
    assert [tuple(tensor.shape) for tensor in found] == [
        (encoder.preparation.num_tokens(one), network.backbone.visual.merger.hidden_size)
        for one in (first, second)
    ]
    encoded = {one.sha256: tensor for one, tensor in zip((first, second), found, strict=True)}

    def run(**keywords: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        network.zero_grad()
        rewards = network(pack(trees, encoder.preparation, **keywords))  # type: ignore[arg-type]
        rewards.pow(2).sum().backward()
        trained = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        return rewards.detach(), {n: g.clone() for n, g in trained.items()}

    expected, gradients = run()
    rewards, found_gradients = run(encoded=encoded)
    torch.testing.assert_close(rewards, expected, rtol=1e-5, atol=1e-6)
    assert any(".merger." in name for name in found_gradients)
    assert found_gradients.keys() == gradients.keys()
    for name, gradient in found_gradients.items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-4, atol=1e-5)


def test_the_projector_is_itself_again_afterwards(tmp_path: Path) -> None:
    model = reward_model(load_tiny(write_base_model(tmp_path / "base", "qwen2_5_vl")))
    backbone = model.checkpoint.network.backbone
    assert model.encoder.preparation is not None
    tensors = picture_tensors([picture(1)], model.encoder.preparation)
    before = model.checkpoint.network.picture_states(tensors[0], grids=tensors[1])
    [encoded] = encode_pictures(backbone, *tensors)
    after = model.checkpoint.network.picture_states(tensors[0], grids=tensors[1])
    assert torch.equal(before, after)
    torch.testing.assert_close(project_pictures(backbone, encoded), before)


def test_qwen3_vl_cannot_be_taken_apart(tmp_path: Path) -> None:
    checkpoint = load_tiny(write_base_model(tmp_path / "base", "qwen3_vl"))
    assert "qwen3_vl" in str(explain_inseparable(checkpoint.config))
