"""The last layer computes what rewards are read from; the other layers, and other passes, all."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    CohereConfig,
    Gemma3TextConfig,
    GraniteConfig,
    Olmo2Config,
    PhiConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3MoeConfig,
)

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


@contextmanager
def tokens_computed(backbone: PreTrainedModel, part: str) -> Iterator[list[list[int]]]:
    """Filled by forward passes: for each layer, how many tokens its part computes."""
    found: list[list[int]] = []
    hooks = []
    for layer in backbone.get_decoder().layers:
        counts: list[int] = []

        def count(_part: nn.Module, inputs: tuple[Tensor, ...], counts: list[int] = counts) -> None:
            counts.append(inputs[0].shape[1])

        hooks.append(layer.get_submodule(part).register_forward_pre_hook(count))
        found.append(counts)
    yield found
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("part", ["self_attn.q_proj", "self_attn.o_proj", "mlp"])
def test_rewards_compute_the_last_layer_where_they_are_read(
    model: RewardModel, batch: PackedBatch, part: str
) -> None:
    network = model.checkpoint.network
    with tokens_computed(network.backbone, part) as (*others, last):
        network(batch)
        assert last == [6]
        assert all(counts == [batch.num_tokens] for counts in others)

        network.token_states(batch)
        assert last == [6, batch.num_tokens]


def test_all_states_are_right_where_all_are_wanted(model: RewardModel, batch: PackedBatch) -> None:
    network = model.checkpoint.network
    with torch.no_grad():
        everywhere = network.token_states(batch)
        wanted = batch.score_positions
        there = packed_states(network.backbone, batch, read_at=wanted)
        again = network.token_states(batch)
    torch.testing.assert_close(everywhere[wanted], there, atol=1e-6, rtol=0)
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


def test_threads_do_not_read_where_others_do(model: RewardModel, batch: PackedBatch) -> None:
    backbone = model.checkpoint.network.backbone

    def differences(number: int) -> list[float]:
        read_at = batch.score_positions[number : number + 2]
        with torch.no_grad():
            expected = whole[read_at]
            found = (packed_states(backbone, batch, read_at=read_at) for _ in range(40))
            return [float((one - expected).abs().max()) for one in found]

    with torch.no_grad():
        whole = packed_states(backbone, batch)
    with ThreadPoolExecutor(max_workers=4) as pool:
        assert max(map(max, pool.map(differences, range(4)))) < 1e-5


TEXT: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
}
EXPERTS = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}


def without_pictures(batch: PackedBatch) -> PackedBatch:
    """The batch's structure, with other words in it, for a decoder alone."""
    return replace(
        batch,
        input_ids=torch.randint(1, 64, (1, batch.num_tokens)),
        position_ids=batch.position_ids[:1].reshape(1, -1),
        pixel_values=None,
        image_grid_thw=None,
    )


@pytest.mark.parametrize(
    "config",
    [
        Gemma3TextConfig(**TEXT),
        Olmo2Config(**TEXT),
        GraniteConfig(**TEXT, residual_multiplier=0.5),
        CohereConfig(**TEXT),
        PhiConfig(**TEXT),
        Qwen3MoeConfig(**TEXT, **EXPERTS),
    ],
    ids=lambda config: config.model_type,
)
def test_other_decoders_have_the_states_and_gradients_of_the_whole_pass(
    config: PreTrainedConfig, batch: PackedBatch
) -> None:
    """Norms behind the feed-forward part, residuals scaled, both parts at once, routed experts."""
    torch.manual_seed(0)
    backbone = AutoModel.from_config(config)
    use_tree_attention(backbone)
    words = without_pictures(batch)
    at = batch.score_positions
    states, gradients = [], []
    for read_at in (None, at):
        backbone.zero_grad()
        found = packed_states(backbone, words, read_at=read_at)
        found = found[at] if read_at is None else found
        found.square().sum().backward()
        states.append(found.detach())
        gradients.append([p.grad.clone() for p in backbone.parameters() if p.grad is not None])
    torch.testing.assert_close(*states, atol=1e-5, rtol=0)
    assert len(gradients[0]) == len(gradients[1])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_routed_experts_are_given_all_tokens(batch: PackedBatch) -> None:
    backbone = AutoModel.from_config(Qwen3MoeConfig(**TEXT, **EXPERTS))
    use_tree_attention(backbone)
    with tokens_computed(backbone, "mlp") as (*_, last):
        packed_states(backbone, without_pictures(batch), read_at=batch.score_positions)
    assert last == [batch.num_tokens]


def test_asking_twice_selects_once(batch: PackedBatch) -> None:
    backbone = AutoModel.from_config(Olmo2Config(**TEXT))
    use_tree_attention(backbone)
    use_tree_attention(backbone)
    at = batch.score_positions
    assert packed_states(backbone, without_pictures(batch), read_at=at).shape == (len(at), 32)
