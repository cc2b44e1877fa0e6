"""Tree attention in one kernel: FlexAttention with a mask of blocks, for CUDA.

`attention.tree_attention` calls SDPA once for each prefix and each branch, which is the faster
way on a CPU; a GPU is kept busier by one kernel that leaves out the blocks nobody sees. Which keys
a token sees is the same in both. FlexAttention has no backward pass on the CPU.

Shapes: H query heads, K key heads, T tokens of the packed row, E width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from vlreward.collation.packing import TreeInterval
from vlreward.errors import ConfigError
from vlreward.modeling.attention import TreeStructure, checked

NAME = "vlreward_tree_flex"
"""What the attention is called in a configuration's `_attn_implementation`."""

_LONGEST_CONVERSATION = 2**31
"""More than any place in one, so that a window of it is none."""


def flex_tree_attention(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree: TreeStructure | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **keywords: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention of all trees at once.

    query [1, H, T, E], key and value [1, K, T, E] → [1, T, H, E]. Raises ConfigError as
    `attention.tree_attention`, and if attention is to drop something, which FlexAttention cannot.
    """
    tree = checked(tree, attention_mask, keywords)
    if dropout:
        raise ConfigError(
            "attention-dropout",
            value=dropout,
            place="config.json: attention_dropout",
            expected="0 for FlexAttention",
            mend="Set model.attention to segments.",
        )
    tree.num_calls += 1
    key_of_mask = ("blocks", sliding_window)
    if key_of_mask not in tree.kept:
        tree.kept[key_of_mask] = _block_mask(tree.trees, sliding_window, device=query.device)
    attended: Tensor = _kernel(is_compiled=query.is_cuda)(
        query,
        key,
        value,
        block_mask=tree.kept[key_of_mask],
        scale=scaling,
        enable_gqa=query.shape[1] > key.shape[1],
    )
    return attended.transpose(1, 2).contiguous(), None


def _block_mask(
    trees: tuple[TreeInterval, ...], window: int | None, *, device: torch.device
) -> Any:
    """FlexAttention's mask: a token sees its tree's prefix and its own branch up to itself."""
    from torch.nn.attention.flex_attention import create_block_mask

    tree_T, branch_T, place_T = (one.to(device) for one in places(trees))
    reach = _LONGEST_CONVERSATION if window is None else window

    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        is_prefix, is_own = branch_T[key] == 0, branch_T[key] == branch_T[query]
        distance = place_T[query] - place_T[key]
        is_near = (distance >= 0) & (distance < reach)
        return (tree_T[query] == tree_T[key]) & (is_prefix | is_own) & is_near

    num_tokens = len(tree_T)
    return create_block_mask(
        sees, None, None, num_tokens, num_tokens, device=str(device), _compile=tree_T.is_cuda
    )


def places(trees: tuple[TreeInterval, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token [T] its tree, its branch (0 for the prefix) and its place in the conversation.

    A branch's places go on where its prefix's end.
    """
    parts = [
        (number, branch, 0 if branch == 0 else prefix.end - prefix.start, part.end - part.start)
        for number, (prefix, branches) in enumerate(trees)
        for branch, part in enumerate((prefix, *branches))
    ]
    lengths = torch.tensor([length for *_, length in parts])
    tree_T, branch_T = (
        torch.tensor([part[index] for part in parts]).repeat_interleave(lengths) for index in (0, 1)
    )
    place_T = torch.cat([torch.arange(start, start + length) for *_, start, length in parts])
    return tree_T, branch_T, place_T


@cache
def _kernel(*, is_compiled: bool) -> Callable[..., Any]:
    """FlexAttention, fused where there is a GPU to fuse it for."""
    from torch.nn.attention.flex_attention import flex_attention

    found: Callable[..., Any] = flex_attention
    return torch.compile(found, dynamic=True) if is_compiled else found


def register() -> None:
    """Makes the attention known to transformers by its name; doing so again changes nothing."""
    AttentionInterface.register(NAME, flex_tree_attention)
