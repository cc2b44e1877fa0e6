"""The optimizer over float32 weights, whatever precision the model keeps, and its schedule.

A bfloat16 weight cannot hold an update of 1e-5 of its size. So each such parameter has a float32
master here: gradients are summed into it, the optimizer steps on it, and the model gets its
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vlreward.training.config import OptimizerConfig, StageConfig
from vlreward.training.embedding_adamw import EmbeddingAdamW, weights_with_sparse_gradients
from vlreward.training.sharding import whole

_STATE_KEYS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer", "touched")


class MasterOptimizer:
    """AdamW, or Muon and AdamW, on the float32 masters of all parameters with gradients.

    Embeddings under `sparse_gradients` are stepped by the rows that are used.
    """

    def __init__(self, network: nn.Module, config: OptimizerConfig) -> None:
        self._parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self._masters = {
            name: p if p.dtype == torch.float32 else nn.Parameter(p.detach().float())
            for name, p in self._parameters.items()
        }
        self._max_gradient_norm = config.max_gradient_norm
        sparse = weights_with_sparse_gradients(network)
        self._sparse = [self._masters[n] for n, p in self._parameters.items() if p in sparse]
        self._optimizers = _build(self._masters, config, sparse=self._sparse)
        self._of = {
            parameter: optimizer
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }

    def collect_gradients(self) -> None:
        """Adds the parameters' gradients to the masters'; call it after each backward pass."""
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse:  # one entry a row, or they pile up: one a token
                parameter.grad = parameter.grad.coalesce()
            master = self._masters[name]
            if master is not parameter:
                gradient = parameter.grad.float()
                master.grad = gradient if master.grad is None else _sum(master.grad, gradient)
                parameter.grad = None

    def step(self, learning_rate: float) -> float:
        """Clips and applies the collected gradients, clears them, and returns their norm.

        Nothing is applied when the norm is not finite.
        """
        norm = self._clip()
        if math.isfinite(norm):
            for optimizer in self._optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate
                optimizer.step()
            self._copy_masters_back()
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        return norm

    def _clip(self) -> float:
        """Scales the gradients down to the greatest norm; returns the norm they had."""
        for master in self._sparse:
            if master.grad is not None and master.grad.is_sparse:
                master.grad = master.grad.coalesce()
        gradients = [m.grad for m in self._masters.values() if m.grad is not None]
        values = [g.values() if g.is_sparse else g for g in gradients]
        norm = whole(nn.utils.get_total_norm(values))
        factor = (self._max_gradient_norm / (norm + 1e-6)).clamp(max=1.0)
        if values:
            torch._foreach_mul_(values, factor)
        return float(norm)

    def state(self) -> dict[str, Tensor]:
        """All tensors that a resumed run needs, by `parameter/key`."""
        tensors = {}
        for name, master in self._masters.items():
            for key, value in self._of[master].state.get(master, {}).items():
                tensors[f"{name}/{key}"] = value.detach()
            if master is not self._parameters[name]:
                tensors[f"{name}/master"] = master.detach()
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores what `state` returned, for the same parameters."""
        with torch.no_grad():
            for name, master in self._masters.items():
                if f"{name}/master" in tensors:
                    master.copy_(tensors[f"{name}/master"])
                stored = {key: tensors.get(f"{name}/{key}") for key in _STATE_KEYS}
                restored = {
                    key: value.to(master.device, copy=True)
                    for key, value in stored.items()
                    if value is not None
                }
                if not isinstance(self._of[master], EmbeddingAdamW):
                    restored.pop("touched", None)  # here all rows are stepped from now on
                if restored:
                    self._of[master].state[master] = restored

    @torch.no_grad()
    def _copy_masters_back(self) -> None:
        for name, parameter in self._parameters.items():
            if self._masters[name] is not parameter:
                parameter.copy_(self._masters[name])


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """Of gradients, each dense or sparse."""
    if one.is_sparse and not other.is_sparse:  # torch adds sparse to dense only
        return other + one
    total = one + other
    return total.coalesce() if total.is_sparse else total


def _build(
    masters: Mapping[str, nn.Parameter], config: OptimizerConfig, *, sparse: Sequence[nn.Parameter]
) -> tuple[torch.optim.Optimizer, ...]:
    by_rows = set(sparse)
    turned = [
        p
        for n, p in masters.items()
        if config.muon and p not in by_rows and _is_hidden_matrix(n, p)
    ]
    others = [p for p in masters.values() if p not in {*by_rows, *turned}]
    betas = (config.beta1, config.beta2)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [
                {"params": [p for p in others if p.ndim >= 2], "weight_decay": config.weight_decay},
                {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=0.0,
            betas=betas,
            eps=config.epsilon,
            fused=True,
        )
    ]
    if sparse:
        assert not config.weight_decay, "rows without gradients would have to decay"
        optimizers.append(EmbeddingAdamW(sparse, betas=betas, eps=config.epsilon))
    if turned:
        optimizers.append(
            torch.optim.Muon(
                turned,
                lr=0.0,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return tuple(optimizers)


def _is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether it maps hidden states to hidden states: no embedding, no convolution, no head."""
    is_outer = "embed" in name or not {"head", "lm_head"}.isdisjoint(name.split("."))
    return parameter.ndim == 2 and not is_outer


def learning_rate_at(step: int, *, num_steps: int, stage: StageConfig) -> float:
    """The rate of step 0 … num_steps − 1: linear warm-up, then half a cosine down to zero."""
    num_warmup = math.ceil(stage.warmup_ratio * num_steps)
    if step < num_warmup:
        return stage.learning_rate * (step + 1) / (num_warmup + 1)
    progress = (step - num_warmup) / max(1, num_steps - num_warmup)
    return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
