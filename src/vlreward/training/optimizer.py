"""The optimizer over float32 weights, whatever precision the model keeps, and its schedule.

A bfloat16 weight cannot hold an update of 1e-5 of its size. So each such parameter has a float32
master here: gradients are summed into it, the optimizer steps on it, and the model gets its
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from vlreward.training.config import OptimizerConfig, StageConfig

_STATE_KEYS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


class MasterOptimizer:
    """AdamW, or Muon and AdamW, on the float32 masters of all parameters with gradients."""

    def __init__(
        self, named_parameters: Iterable[tuple[str, nn.Parameter]], config: OptimizerConfig
    ) -> None:
        self._parameters = {name: p for name, p in named_parameters if p.requires_grad}
        self._masters = {
            name: p if p.dtype == torch.float32 else nn.Parameter(p.detach().float())
            for name, p in self._parameters.items()
        }
        self._max_gradient_norm = config.max_gradient_norm
        self._optimizers = _build(self._masters, config)
        self._of = {
            parameter: optimizer
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }

    def collect_gradients(self) -> None:
        """Adds the parameters' gradients to the masters'; call it after each backward pass."""
        for name, parameter in self._parameters.items():
            master = self._masters[name]
            if master is parameter or parameter.grad is None:
                continue
            gradient = parameter.grad.float()
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            parameter.grad = None

    def step(self, learning_rate: float) -> float:
        """Clips and applies the collected gradients, clears them, and returns their norm.

        Nothing is applied when the norm is not finite.
        """
        norm = float(
            torch.nn.utils.clip_grad_norm_(self._masters.values(), self._max_gradient_norm)
        )
        if math.isfinite(norm):
            for optimizer in self._optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate
                optimizer.step()
            self._copy_masters_back()
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Tensor]:
        """All tensors that a resumed run needs, by `parameter/key`."""
        tensors = {}
        for name, master in self._masters.items():
            for key, value in self._of[master].state.get(master, {}).items():
                tensors[f"{name}/{key}"] = value.detach().cpu().contiguous()
            if master is not self._parameters[name]:
                tensors[f"{name}/master"] = master.detach().cpu().contiguous()
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores what `state` returned, for the same parameters."""
        with torch.no_grad():
            for name, master in self._masters.items():
                if f"{name}/master" in tensors:
                    master.copy_(tensors[f"{name}/master"])
                stored = {key: tensors.get(f"{name}/{key}") for key in _STATE_KEYS}
                restored = {
                    key: value.clone() if key == "step" else value.to(master.device, copy=True)
                    for key, value in stored.items()
                    if value is not None
                }
                if restored:
                    self._of[master].state[master] = restored

    @torch.no_grad()
    def _copy_masters_back(self) -> None:
        for name, parameter in self._parameters.items():
            if self._masters[name] is not parameter:
                parameter.copy_(self._masters[name])


def _build(
    masters: Mapping[str, nn.Parameter], config: OptimizerConfig
) -> tuple[torch.optim.Optimizer, ...]:
    turned = {name for name, p in masters.items() if config.muon and _is_hidden_matrix(name, p)}
    others = [p for name, p in masters.items() if name not in turned]
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=0.0,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
    )
    if not turned:
        return (adamw,)
    muon = torch.optim.Muon(
        [masters[name] for name in masters if name in turned],
        lr=0.0,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return adamw, muon


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
