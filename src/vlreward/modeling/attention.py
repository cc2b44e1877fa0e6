"""Attention over packed trees: a token sees its prompt and its own response, nothing else.

`tree_attention` is registered with transformers' AttentionInterface and receives the row's
structure as the keyword `tree` through the model's own forward. No modelling code is touched.

Shapes: H query heads, K key heads, T tokens of the packed row, E width of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from vlreward.collation.packing import TreeInterval
from vlreward.errors import ConfigError

NAME = "vlreward_tree"
"""What the attention is called in a configuration's `_attn_implementation`."""

_REFUSED_KEYWORDS = ("softcap", "s_aux", "position_bias", "cache")


@dataclass(kw_only=True, slots=True)
class TreeStructure:
    """A packed row's trees, with the masks that its layers share, and how often it was used."""

    trees: tuple[TreeInterval, ...]
    read_at: Tensor | None = None
    """The tokens whose final states are wanted, each once; None for all (see `last_layer`)."""
    num_calls: int = 0
    kept: dict[tuple[object, ...], Any] = field(default_factory=dict)
    """What the layers of a pass share: masks, by what they are of."""

    def mask(
        self, num_shared: int, num_own: int, window: int | None, *, device: torch.device
    ) -> Tensor:
        """Which keys a branch's queries see: [num_own, num_shared + num_own], True where seen.

        `num_shared` keys of the prefix come first. A sliding window counts distances with the
        branch starting right after the prefix.
        """
        key = (num_shared, num_own, window)
        if key not in self.kept:
            queries = torch.arange(num_shared, num_shared + num_own, device=device)[:, None]
            distance = queries - torch.arange(num_shared + num_own, device=device)[None]
            seen = distance >= 0
            self.kept[key] = seen if window is None else seen & (distance < window)
        mask: Tensor = self.kept[key]
        return mask


def tree_attention(
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
    """Scaled dot-product attention tree by tree.

    query [1, H, T, E], key and value [1, K, T, E] → [1, T, H, E]. Raises ConfigError if the
    backbone asks for what the packed layout cannot honour (softcap, sinks, position bias, caches,
    a mask) or loses the tree; `backbones.explain_unpackable` knows the common ones before.
    """
    tree = checked(tree, attention_mask, keywords)
    tree.num_calls += 1
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key = key.repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)

    def attend(own: _Part, shared: _Part) -> Tensor:
        num_shared, num_own = shared.key.shape[2], own.key.shape[2]
        narrow = sliding_window is not None and num_shared + num_own > sliding_window
        mask = None
        if num_shared or narrow:
            window = sliding_window if narrow else None
            mask = tree.mask(num_shared, num_own, window, device=query.device)
        return F.scaled_dot_product_attention(
            own.query,
            torch.cat([shared.key, own.key], dim=2),
            torch.cat([shared.value, own.value], dim=2),
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scaling,
        )

    # One split each: the backward of many slices would fill a whole row with zeros for every one.
    lengths = [part.end - part.start for prefix, own in tree.trees for part in (prefix, *own)]
    splits = (tensor.split(lengths, dim=2) for tensor in (query, key, value))
    parts = iter([_Part(*tensors) for tensors in zip(*splits, strict=True)])
    outputs = []
    for _, branches in tree.trees:
        prefix = next(parts)
        nothing = _Part(*(tensor[:, :, :0] for tensor in prefix))
        outputs.append(attend(prefix, nothing))
        outputs += [attend(next(parts), prefix) for _ in branches]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def checked(
    tree: TreeStructure | None, attention_mask: Tensor | None, keywords: Mapping[str, Any]
) -> TreeStructure:
    """The tree of a pass; raises ConfigError where it is lost or more is asked than it can do."""
    refused = [name for name in _REFUSED_KEYWORDS if keywords.get(name) is not None]
    if attention_mask is not None:
        refused.append("attention_mask")
    if tree is None or refused:
        raise ConfigError(
            "attention-not-packable",
            value=f"a backbone that gives its attention {', '.join(refused) or 'no tree'}",
            place="model.layout",
            expected="plain attention, full or sliding",
            mend="Set layout to padded for this backbone, and report the model class.",
        )
    return tree


class _Part(NamedTuple):
    """The tokens of a prefix or a branch: query and key [1, H, N, E], value alike."""

    query: Tensor
    key: Tensor
    value: Tensor


def register() -> None:
    """Makes the attention known to transformers by its name; doing so again changes nothing."""
    AttentionInterface.register(NAME, tree_attention)
