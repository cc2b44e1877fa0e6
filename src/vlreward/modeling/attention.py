"""Attention over packed trees: a token sees its prompt and its own response, nothing else.

`tree_attention` is registered with transformers' AttentionInterface and receives the row's
structure as the keyword `tree` through the model's own forward. No modelling code is touched.

Shapes: H query heads, K key heads, T tokens of the packed row, E width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from vlreward.collation.packing import Interval, TreeInterval

NAME = "vlreward_tree"
"""What the attention is called in a configuration's `_attn_implementation`."""

_REFUSED_KEYWORDS = ("softcap", "s_aux", "position_bias", "cache")


@dataclass(kw_only=True, slots=True)
class TreeStructure:
    """A packed row's trees, with the masks that its layers share, and how often it was used."""

    trees: tuple[TreeInterval, ...]
    num_calls: int = 0
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)

    def mask(self, num_shared: int, num_own: int, window: int | None, *, device: Any) -> Tensor:
        """Which keys a branch's queries see: [num_own, num_shared + num_own], True where seen.

        `num_shared` keys of the prefix come first. A sliding window counts distances with the
        branch starting right after the prefix.
        """
        key = (num_shared, num_own, window)
        if key not in self._masks:
            queries = torch.arange(num_shared, num_shared + num_own, device=device)[:, None]
            distance = queries - torch.arange(num_shared + num_own, device=device)[None]
            seen = distance >= 0
            self._masks[key] = seen if window is None else seen & (distance < window)
        return self._masks[key]


def tree_attention(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree: TreeStructure,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **keywords: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention tree by tree.

    query [1, H, T, E], key and value [1, K, T, E] → [1, T, H, E]. What the packed layout cannot
    honour (softcap, sinks, position bias, caches, a mask) is refused by assertion: the backbone
    is checked for it before, in `backbones.explain_unpackable`.
    """
    refused = [name for name in _REFUSED_KEYWORDS if keywords.get(name) is not None]
    assert attention_mask is None and not refused, f"tree attention cannot honour {refused}"
    tree.num_calls += 1
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key = key.repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)

    def attend(queries: Interval, shared: Interval) -> Tensor:
        window = sliding_window
        if window is not None and shared.end - shared.start + queries.end - queries.start <= window:
            window = None
        keys, values = (_join(tensor, shared, queries) for tensor in (key, value))
        num_shared, num_own = shared.end - shared.start, queries.end - queries.start
        plain = num_shared == 0 and window is None
        mask = None if plain else tree.mask(num_shared, num_own, window, device=query.device)
        return F.scaled_dot_product_attention(
            query[:, :, queries.start : queries.end],
            keys,
            values,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=plain,
            scale=scaling,
        )

    outputs = []
    for prefix, branches in tree.trees:
        if prefix.end > prefix.start:
            outputs.append(attend(prefix, Interval(prefix.start, prefix.start)))
        outputs += [attend(branch, prefix) for branch in branches]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def _join(tensor: Tensor, first: Interval, second: Interval) -> Tensor:
    """Tokens of two intervals, one after the other; a view where they touch."""
    if first.end == second.start or first.end == first.start:
        start = first.start if first.end > first.start else second.start
        return tensor[:, :, start : second.end]
    return torch.cat(
        [tensor[:, :, first.start : first.end], tensor[:, :, second.start : second.end]], dim=2
    )


AttentionInterface.register(NAME, tree_attention)
