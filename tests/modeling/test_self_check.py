"""The start-up check lets exact models pass and stops the others with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

from tests.support import tiny
from vlreward.collation.config import CollationConfig
from vlreward.errors import ConfigError
from vlreward.modeling import attention, backbones
from vlreward.modeling.checkpoints import RewardCheckpoint
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.self_check import check_packing


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny")
    return {kind: tiny.write_base_model(root / kind, kind) for kind in tiny.KINDS}


@pytest.fixture
def attention_restored() -> Iterator[None]:
    yield
    AttentionInterface.register(attention.NAME, attention.tree_attention)


def ready(folder: Path, *, dtype: torch.dtype = torch.float32) -> RewardCheckpoint:
    checkpoint = tiny.load_tiny(folder, dtype=dtype)
    backbones.use_tree_attention(checkpoint.network.backbone)
    return checkpoint


def check(checkpoint: RewardCheckpoint, **collation: Any) -> float:
    return check_packing(checkpoint.network, encoder_for(checkpoint, CollationConfig(**collation)))


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_exact_models_pass(kind: str, folders: dict[str, Path]) -> None:
    assert check(ready(folders[kind])) < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3"])
def test_half_precision_passes(kind: str, dtype: torch.dtype, folders: dict[str, Path]) -> None:
    assert check(ready(folders[kind], dtype=dtype)) < 0.05


def causal_over_all(
    _module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: Any, **keywords: Any
) -> tuple[Tensor, None]:
    """An attention that knows nothing of trees: a response sees its sibling."""
    keywords["tree"].num_calls += 1
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    out = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=keywords["scaling"]
    )
    return out.transpose(1, 2).contiguous(), None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["qwen2_5_vl", "llama"])
@pytest.mark.usefixtures("attention_restored")
def test_an_attention_that_ignores_the_tree_is_found(
    kind: str, dtype: torch.dtype, folders: dict[str, Path]
) -> None:
    checkpoint = ready(folders[kind], dtype=dtype)
    AttentionInterface.register(attention.NAME, causal_over_all)
    with pytest.raises(ConfigError, match=r"padded hidden states differ.*layout to padded"):
        check(checkpoint)


@pytest.mark.parametrize("kind", ["qwen3_vl", "smollm2"])
def test_lost_positions_are_found(kind: str, folders: dict[str, Path]) -> None:
    checkpoint = ready(folders[kind])
    backbone = checkpoint.network.backbone
    whole = backbone.forward

    def forgetful(**keywords: Any) -> Any:
        if "tree" in keywords:
            counted = torch.arange(keywords["input_ids"].shape[1])
            keywords["position_ids"] = counted.expand_as(keywords["position_ids"])
        return whole(**keywords)

    backbone.forward = forgetful
    with pytest.raises(ConfigError, match="differ"):
        check(checkpoint)


def test_numbers_that_are_not_finite_are_found(folders: dict[str, Path]) -> None:
    checkpoint = ready(folders["llama"])
    with torch.no_grad():
        checkpoint.network.backbone.norm.weight.fill_(float("nan"))
    with pytest.raises(ConfigError, match="differ by nan"):
        check(checkpoint)


def test_a_model_left_on_another_attention_is_found(folders: dict[str, Path]) -> None:
    with pytest.raises((AssertionError, ConfigError)):
        check(tiny.load_tiny(folders["llama"]))


@pytest.mark.parametrize("training", [True, False])
def test_the_check_leaves_the_network_as_it_was(training: bool, folders: dict[str, Path]) -> None:
    checkpoint = ready(folders["qwen2_5_vl"])
    checkpoint.network.train(training)
    state = torch.get_rng_state()
    check(checkpoint)
    assert checkpoint.network.training is training
    assert checkpoint.config.get_text_config()._attn_implementation == attention.NAME
    assert all(parameter.grad is None for parameter in checkpoint.network.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_short_length_limit_does_not_stop_the_check(folders: dict[str, Path]) -> None:
    assert check(ready(folders["qwen2_5_vl"]), max_length=16, overflow="refuse") < 1e-5
