"""Tree attention where windows slide, where trees are odd, and where it must not be used."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

from tests.support import tiny
from tests.support.reference import plain_model, plain_rewards
from vlreward.collation.packing import Interval, TreeInterval, pack
from vlreward.errors import ConfigError
from vlreward.modeling.attention import TreeStructure, tree_attention
from vlreward.modeling.backbones import use_tree_attention
from vlreward.modeling.flex_attention import flex_tree_attention

TOLERANCE = 1e-5
UNFUSED = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
SIZES: dict[str, Any] = {
    "vocab_size": tiny.VOCABULARY_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": None,
    "tie_word_embeddings": False,
}


def sliding_model(kind: str, window: int) -> Any:
    if kind == "mistral":
        return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=window))
    return Qwen2ForCausalLM(
        Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=window, max_window_layers=1)
    )


@pytest.mark.parametrize("window", [1, 2, 7, 20, 45, 4096])
@pytest.mark.parametrize("kind", ["mistral", "qwen2"])
def test_sliding_windows_slide_over_prompt_and_response_as_in_plain_rows(
    kind: str, window: int, tmp_path: Path
) -> None:
    folder = tiny.write_base_model(tmp_path / kind, "llama")
    torch.manual_seed(0)
    model = sliding_model(kind, window)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0.0, 0.15)
    model.save_pretrained(folder)
    checkpoint = tiny.load_tiny(folder)
    scorer = tiny.reward_model(checkpoint)
    rng = random.Random(0)
    trees = [
        scorer.encoder.encode(
            tiny.prompt(tiny.words(rng, 3, 30)),
            [tiny.response(tiny.words(rng, 1, 40)) for _ in range(3)],
        )
        for _ in range(3)
    ]
    assert max(len(tree.prefix) + len(b) for tree in trees for b in tree.branches) > 45
    head = copy.deepcopy(checkpoint.network.head)
    with torch.no_grad():
        rewards = checkpoint.network(pack(trees, None))
        expected = plain_rewards(plain_model(folder), head, trees, preparation=None)
    torch.testing.assert_close(rewards, expected, atol=TOLERANCE, rtol=0)
    if window == 7:
        checkpoint.network.backbone.config.sliding_window = None
        for layer in checkpoint.network.backbone.layers:
            layer.self_attn.sliding_window = None
        with torch.no_grad():
            unbounded = checkpoint.network(pack(trees, None))
        assert (unbounded - expected).abs().max() > 100 * TOLERANCE, "the window matters here"


def by_definition(
    query: Tensor, key: Tensor, value: Tensor, trees: tuple[TreeInterval, ...], window: int | None
) -> Tensor:
    """Each query against each key it may see, one by one: the law written down."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    num_tokens = query.shape[2]
    seen = torch.zeros(num_tokens, num_tokens, dtype=torch.bool)
    for prefix, branches in trees:
        for branch in branches or (Interval(prefix.end, prefix.end),):
            row = [*range(*prefix), *range(*branch)]
            for place, q in enumerate(row):
                for other in range(place + 1):
                    if window is None or place - other < window:
                        seen[q, row[other]] = True
    scores = (query @ key.transpose(2, 3)).masked_fill(~seen, float("-inf"))
    return (scores.softmax(dim=-1) @ value).transpose(1, 2)


trees_drawn = st.lists(
    st.tuples(st.integers(0, 6), st.lists(st.integers(1, 5), min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
)


@UNFUSED
@settings(max_examples=60, deadline=None)
@given(
    drawn=trees_drawn,
    window=st.one_of(st.none(), st.integers(1, 12)),
    attend=st.sampled_from([tree_attention, flex_tree_attention]),
)
def test_a_token_sees_its_prompt_and_its_own_response_and_nothing_else(
    drawn: list[tuple[int, list[int]]], window: int | None, attend: Callable[..., Any]
) -> None:
    trees, start = [], 0
    for num_prefix, branches in drawn:
        prefix = Interval(start, start + num_prefix)
        intervals, start = [], prefix.end
        for length in branches:
            intervals.append(Interval(start, start + length))
            start += length
        trees.append(TreeInterval(prefix, tuple(intervals)))
    generator = torch.Generator().manual_seed(start)
    query = torch.randn(1, 4, start, 8, generator=generator)
    key, value = (torch.randn(1, 2, start, 8, generator=generator) for _ in range(2))
    structure = TreeStructure(trees=tuple(trees))
    found, weights = attend(
        nn.Identity(), query, key, value, None, tree=structure, scaling=1.0, sliding_window=window
    )
    expected = by_definition(query, key, value, structure.trees, window)
    assert weights is None
    assert structure.num_calls == 1
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


@UNFUSED
@pytest.mark.parametrize("name", ["llama", "qwen2_5_vl"])
def test_one_kernel_for_the_row_gives_the_rewards_of_one_for_each_segment(
    name: str, tmp_path: Path
) -> None:
    checkpoint = tiny.load_tiny(tiny.write_base_model(tmp_path / name, name))
    scorer = tiny.reward_model(checkpoint)
    rng = random.Random(0)
    batch = pack(
        [
            scorer.encoder.encode(
                tiny.prompt(tiny.words(rng, 3, 30)),
                [tiny.response(tiny.words(rng, 1, 40)) for _ in range(3)],
            )
            for _ in range(3)
        ],
        scorer.encoder.preparation,
    )
    with torch.no_grad():
        expected = checkpoint.network(batch)
        use_tree_attention(checkpoint.network.backbone, kernel="flex")
        torch.testing.assert_close(checkpoint.network(batch), expected, atol=TOLERANCE, rtol=0)


def test_flex_attention_drops_nothing() -> None:
    structure = TreeStructure(trees=(TreeInterval(Interval(0, 2), (Interval(2, 4),)),))
    tensors = [torch.ones(1, 1, 4, 2) for _ in range(3)]
    with pytest.raises(ConfigError, match=r"attention_dropout.*segments"):
        flex_tree_attention(nn.Identity(), *tensors, None, tree=structure, dropout=0.1)


def test_dropout_is_passed_on() -> None:
    structure = TreeStructure(trees=(TreeInterval(Interval(0, 2), (Interval(2, 4),)),))
    tensors = [torch.ones(1, 1, 4, 2) for _ in range(3)]
    found, _ = tree_attention(nn.Identity(), *tensors, None, tree=structure, dropout=1.0)
    assert not found.any()


@pytest.mark.parametrize(
    ("keywords", "named"),
    [
        ({"softcap": 30.0}, "softcap"),
        ({"s_aux": torch.zeros(1)}, "s_aux"),
        ({"position_bias": torch.zeros(1)}, "position_bias"),
        ({"tree": None}, "no tree"),
    ],
)
def test_what_packing_cannot_honour_is_refused(keywords: dict[str, Any], named: str) -> None:
    structure = TreeStructure(trees=(TreeInterval(Interval(0, 1), (Interval(1, 2),)),))
    tensors = [torch.ones(1, 1, 2, 2) for _ in range(3)]
    with pytest.raises(ConfigError, match=rf"{named}.*layout to padded"):
        tree_attention(nn.Identity(), *tensors, None, **({"tree": structure} | keywords))


def test_a_mask_is_refused() -> None:
    structure = TreeStructure(trees=(TreeInterval(Interval(0, 1), (Interval(1, 2),)),))
    tensors = [torch.ones(1, 1, 2, 2) for _ in range(3)]
    with pytest.raises(ConfigError, match="attention_mask"):
        tree_attention(nn.Identity(), *tensors, torch.ones(2, 2), tree=structure)


def test_one_tree_of_one_branch_is_plain_causal_attention() -> None:
    query, key, value = (torch.randn(1, 2, 9, 4) for _ in range(3))
    structure = TreeStructure(trees=(TreeInterval(Interval(0, 5), (Interval(5, 9),)),))
    found, _ = tree_attention(nn.Identity(), query, key, value, None, tree=structure)
    expected = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
    torch.testing.assert_close(found, expected)
