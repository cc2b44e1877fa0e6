"""The last layer where rewards are read, and nowhere else.

A reward is read at one token of each response. Of the last decoder layer, all tokens' keys and
values are needed for that, but queries, attention's output projection and the feed-forward part
only at those tokens: the rest has no effect on any reward, nor on any gradient.

Shapes: R tokens that are read, of T in the row; C any width.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

_ATTENTION = "self_attn"
_PER_TOKEN_PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp")
_OF_EXPERTS = {"gate", "router", "experts"}
_MARK = "_vlreward_computes_where_read"

_positions_R: ContextVar[Tensor | None] = ContextVar("positions_R", default=None)
_num_tokens: ContextVar[int] = ContextVar("num_tokens", default=0)


def compute_only_where_read(backbone: PreTrainedModel) -> None:
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
    # Attention comes first in a layer, and is called anew, with the keywords of its pass, where
    # gradient checkpointing recomputes one.
    hooks = [modules[_ATTENTION].register_forward_pre_hook(_note_positions, with_kwargs=True)]
    for name in _PER_TOKEN_PARTS:
        if name in modules and _is_dense(modules[name]):
            hooks.append(modules[name].register_forward_pre_hook(_select))
            hooks.append(modules[name].register_forward_hook(_spread))
    setattr(last, _MARK, hooks)


def compute_everywhere(backbone: PreTrainedModel) -> bool:
    """From now on, the last layer computes all tokens again; whether that is a change."""
    layers = getattr(backbone.get_decoder(), "layers", None)
    if not layers or not hasattr(layers[-1], _MARK):
        return False
    for hook in getattr(layers[-1], _MARK):
        hook.remove()
    delattr(layers[-1], _MARK)
    return True


def _note_positions(
    _attention: nn.Module, _inputs: tuple[Any, ...], keywords: Mapping[str, Any]
) -> None:
    """Before attention: which tokens are read, for this thread; None are all."""
    tree = keywords.get("tree")
    _positions_R.set(None if tree is None else tree.read_at)


def _select(_part: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Before a part: [1, T, C] becomes [1, R, C]."""
    positions_R = _positions_R.get()
    if positions_R is None:
        return None
    [states_1TC] = inputs
    _num_tokens.set(states_1TC.shape[1])
    return (states_1TC[:, positions_R],)


def _spread(_part: nn.Module, _inputs: tuple[Any, ...], output_1RC: Tensor) -> Tensor | None:
    """After a part: [1, R, C] becomes [1, T, C], zero at the other tokens."""
    positions_R = _positions_R.get()
    if positions_R is None:
        return None
    zeros_1TC = output_1RC.new_zeros(1, _num_tokens.get(), output_1RC.shape[-1])
    return zeros_1TC.index_copy(1, positions_R, output_1RC)


def _is_dense(part: nn.Module) -> bool:
    """Whether it has no experts: these may count the tokens, or give more than states."""
    return not _OF_EXPERTS & {name for name, _ in part.named_children()}
