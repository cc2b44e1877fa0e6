"""The last layer where rewards are read, and nowhere else.

A reward is read at one token of each response. Of the last decoder layer, all tokens' keys and
values are needed for that, but queries, attention's output projection and the feed-forward part
only at those tokens: the rest has no effect on any reward, nor on any gradient.

Shapes: R tokens that are read, of T in the row; C any width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

_ATTENTION = "self_attn"
_PER_TOKEN_PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp")
_OF_EXPERTS = {"gate", "router", "experts"}
_MARK = "_vlreward_reads_where_told"


def read_where_told(backbone: PreTrainedModel) -> None:
    """From now on, a forward pass whose `tree` says `read_at` has its final states only there.

    Layers whose parts go by other names compute all tokens as before. Doing so again changes
    nothing.
    """
    layers = getattr(backbone.get_decoder(), "layers", None)
    if not layers or hasattr(layers[-1], _MARK):
        return
    last = layers[-1]
    modules = dict(last.named_modules())
    if _ATTENTION not in modules:
        return
    reading = _Reading()
    modules[_ATTENTION].register_forward_pre_hook(reading.learn, with_kwargs=True)
    for name in _PER_TOKEN_PARTS:
        if name in modules and _is_dense(modules[name]):
            modules[name].register_forward_pre_hook(reading.select)
            modules[name].register_forward_hook(reading.spread)
    setattr(last, _MARK, True)


@dataclass(kw_only=True, slots=True)
class _Reading:
    """Hooks of one layer: it learns where to read as attention is called, the parts obey.

    Attention comes first in a layer, and is called anew where gradient checkpointing recomputes
    one (the layer is not: its hooks stay outside), with the keywords of the pass.
    """

    positions_R: Tensor | None = None
    num_tokens: int = 0

    def learn(
        self, _attention: nn.Module, _inputs: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        """Before attention: takes note of the tokens to read; None are all."""
        tree = keywords.get("tree")
        self.positions_R = None if tree is None else tree.read_at

    def select(self, _part: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor | None:
        """Before a part: [1, T, C] becomes [1, R, C]."""
        if self.positions_R is None:
            return None
        [states_1TC] = inputs
        self.num_tokens = states_1TC.shape[1]
        return states_1TC[:, self.positions_R]

    def spread(
        self, _part: nn.Module, _inputs: tuple[Any, ...], output_1RC: Tensor
    ) -> Tensor | None:
        """After a part: [1, R, C] becomes [1, T, C], zero at the other tokens."""
        if self.positions_R is None:
            return None
        zeros_1TC = output_1RC.new_zeros(1, self.num_tokens, output_1RC.shape[-1])
        return zeros_1TC.index_copy(1, self.positions_R, output_1RC)


def _is_dense(part: nn.Module) -> bool:
    """Whether each token goes its own way through it; experts are routed by the whole row."""
    return not _OF_EXPERTS & {name for name, _ in part.named_children()}
