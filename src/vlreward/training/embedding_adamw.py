"""AdamW for embeddings, at the cost of the rows that are used and not of the vocabulary.

A step reads a few hundred of a vocabulary's 151,936 rows. AdamW without weight decay leaves a row
as it is until its first gradient: both of its moments are zero. So gradients are kept sparse, and
a step touches the rows that ever had one. What comes out is what AdamW makes of all rows.

Shapes: V rows of an embedding, K of them ever used, C its width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

_MOST_ROWS = 0.5
"""Above this share of rows ever used, whole tensors are stepped: copying rows would cost more."""


@contextmanager
def sparse_gradients(network: nn.Module) -> Iterator[None]:
    """For a while, the trained embeddings of the network that are only looked up get sparse ones.

    One whose weights also serve elsewhere, as in tied output layers, keeps its dense gradients.
    """
    uses = Counter(map(id, _weights(network)))
    changed = [
        module
        for module in network.modules()
        if isinstance(module, nn.Embedding)
        and module.weight.requires_grad
        and uses[id(module.weight)] == 1
        and not module.sparse
    ]
    for module in changed:
        module.sparse = True
    try:
        yield
    finally:
        for module in changed:
            module.sparse = False


def weights_with_sparse_gradients(network: nn.Module) -> set[nn.Parameter]:
    """The weights of embeddings whose gradients are sparse."""
    return {m.weight for m in network.modules() if isinstance(m, nn.Embedding) and m.sparse}


class EmbeddingAdamW(torch.optim.Optimizer):
    """`torch.optim.AdamW` without weight decay, for [V, C] weights with sparse gradients.

    Its state has AdamW's tensors, and `touched` [V], which says of each row if it ever had a
    gradient.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], *, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(weights, {"lr": 0.0, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Applies the gradients to the rows that ever had one."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step(weight, group)

    def _step(self, weight: nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), device=weight.device)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
            state["touched"] = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
        if "touched" not in state:  # the state is plain AdamW's
            state["touched"] = torch.ones(len(weight), dtype=torch.bool, device=weight.device)
        tensors = [weight.data, state["exp_avg"], state["exp_avg_sq"]]
        gradient = weight.grad
        assert gradient is not None
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            state["touched"][gradient.indices()[0]] = True
        else:  # the weights served elsewhere, too
            state["touched"].fill_(True)
        rows_K = state["touched"].nonzero()[:, 0]
        if len(rows_K) > _MOST_ROWS * len(weight):
            self._apply(tensors, gradient.to_dense(), state["step"], group)
            return
        rows = [tensor[rows_K] for tensor in tensors]
        gradient_KC = torch.zeros_like(rows[0])
        gradient_KC[torch.searchsorted(rows_K, gradient.indices()[0])] = gradient.values()
        self._apply(rows, gradient_KC, state["step"], group)
        for tensor, row_KC in zip(tensors, rows, strict=True):
            tensor[rows_K] = row_KC

    def _apply(
        self, tensors: list[Tensor], gradient: Tensor, step: Tensor, group: dict[str, Any]
    ) -> None:
        """AdamW on weights and moments of one shape, in place."""
        weight, mean, square = tensors
        beta1, beta2 = group["betas"]
        adamw(
            [weight],
            [gradient],
            [mean],
            [square],
            [],
            [step],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )


def _weights(network: nn.Module) -> Iterator[nn.Parameter]:
    """Every parameter once for each module that holds it."""
    for module in network.modules():
        yield from module.parameters(recurse=False)
