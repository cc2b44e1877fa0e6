"""The last layer computes what rewards are read from; the other layers, and other passes, all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen3MoeConfig, Qwen3MoeModel

from tests.support import tiny
from vlreward.collation.packing import PackedBatch, pack, pad
from vlreward.modeling.backbones import use_tree_attention
from vlreward.modeling.network import packed_states, set_gradient_checkpointing
from vlreward.scoring import RewardModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    return tiny.reward_model(tiny.load_tiny(tiny.write_base_model(folder, "qwen2_5_vl")))


@pytest.fixture
def batch(model: RewardModel) -> PackedBatch:
    prompt = tiny.prompt(tiny.picture(1), "Which is it?")
    responses = [tiny.response(text) for text in ("Red.", "It is blue.", "Neither of them.")]
    trees = [model.encoder.encode(prompt, responses) for _ in range(2)]
    return pack(trees, model.encoder.preparation)


def tokens_computed(backbone: PreTrainedModel, part: str) -> list[list[int]]:
    """Filled by the next forward pass: for each layer, how many tokens its part computes."""
    found: list[list[int]] = []
    for layer in backbone.get_decoder().layers:
        counts: list[int] = []

        def count(_part: nn.Module, inputs: tuple[Tensor, ...], counts: list[int] = counts) -> None:
            counts.append(inputs[0].shape[1])

        layer.get_submodule(part).register_forward_pre_hook(count)
        found.append(counts)
    return found


@pytest.mark.parametrize("part", ["self_attn.q_proj", "self_attn.o_proj", "mlp"])
def test_rewards_compute_the_last_layer_where_they_are_read(
    model: RewardModel, batch: PackedBatch, part: str
) -> None:
    network = model.checkpoint.network
    *others, last = tokens_computed(network.backbone, part)
    network(batch)
    assert last == [6]
    assert all(counts == [batch.num_tokens] for counts in others)

    network.token_states(batch)
    assert last == [6, batch.num_tokens]


def test_all_states_are_right_where_all_are_wanted(model: RewardModel, batch: PackedBatch) -> None:
    network = model.checkpoint.network
    with torch.no_grad():
        everywhere = network.token_states(batch)
        somewhere = packed_states(network.backbone, batch, read_at=batch.score_positions)
        again = network.token_states(batch)
    wanted = batch.score_positions
    torch.testing.assert_close(everywhere[wanted], somewhere[wanted], atol=1e-6, rtol=0)
    assert not torch.allclose(everywhere, somewhere, atol=1e-2)
    assert torch.equal(everywhere, again)


def test_padded_rows_after_packed_ones_are_computed_whole(
    model: RewardModel, batch: PackedBatch
) -> None:
    network = model.checkpoint.network
    prompt, responses = tiny.prompt("Which?"), [tiny.response("This."), tiny.response("That one.")]
    trees = [model.encoder.encode(prompt, responses)]
    with torch.no_grad():
        network(batch)
        padded = network(pad(trees, model.encoder.preparation))
        packed = network(pack(trees, model.encoder.preparation))
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)


def test_recomputation_reads_at_the_same_tokens(tmp_path: Path) -> None:
    """The backward pass of one batch comes after the forward pass of another."""
    folder = tiny.write_base_model(tmp_path / "base", "qwen2_5_vl")
    gradients = []
    for checkpointed in (False, True):
        model = tiny.reward_model(tiny.load_tiny(folder))
        network = model.checkpoint.network.train()
        if checkpointed:
            set_gradient_checkpointing(network)
        rewards = [
            network(
                pack(
                    [
                        model.encoder.encode(
                            tiny.prompt(q), [tiny.response("A."), tiny.response("No, B.")]
                        )
                    ],
                    None,
                )
            )
            for q in ("Which?", "Who?")
        ]
        (rewards[0].sum() + 2 * rewards[1].prod()).backward()
        gradients.append([p.grad for p in network.parameters() if p.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_routed_experts_are_left_alone() -> None:
    config = Qwen3MoeConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_experts=4,
    )
    backbone = Qwen3MoeModel(config)
    use_tree_attention(backbone)
    last = backbone.layers[-1]
    assert not last.mlp._forward_pre_hooks
    assert last.self_attn.q_proj._forward_pre_hooks
