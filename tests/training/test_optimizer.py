"""AdamW on float32 masters, and the schedule of its rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vlreward.training.config import OptimizerConfig, StageConfig
from vlreward.training.optimizer import MasterOptimizer, learning_rate_at

CONFIG = OptimizerConfig(weight_decay=0.1, max_gradient_norm=0.5)


def network(*, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 1)).to(dtype)


def inputs(step: int) -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(step))


class Named(nn.Module):
    """Parameters by their dotted names."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            *path, last = name.split(".")
            module: nn.Module = self
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, nn.Module())
                module = module.get_submodule(part)
            module.register_parameter(last, nn.Parameter(tensor))


def run_ours(net: nn.Module, optimizer: MasterOptimizer, *, steps: range, rate: float) -> None:
    for step in steps:
        net(inputs(step).to(next(net.parameters()).dtype)).pow(2).mean().backward()
        optimizer.collect_gradients()
        optimizer.step(rate)


def test_in_float32_it_is_torchs_adamw_with_clipping_and_decay_of_matrices_alone() -> None:
    ours, theirs = network(), network()
    run_ours(ours, MasterOptimizer(ours, CONFIG), steps=range(5), rate=1e-2)
    reference = torch.optim.AdamW(
        [
            {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.1},
            {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=1e-2,
        betas=(CONFIG.beta1, CONFIG.beta2),
        eps=CONFIG.epsilon,
        fused=True,
    )
    for step in range(5):
        theirs(inputs(step)).pow(2).mean().backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        reference.step()
        reference.zero_grad()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_muon_steps_hidden_matrices_and_adamw_the_rest() -> None:
    names = (
        "layers.0.weight",
        "layers.0.bias",
        "embed_tokens.weight",
        "network.head.summary.weight",
    )
    ours = Named({name: torch.ones(4, 3) if "weight" in name else torch.ones(3) for name in names})
    theirs = [nn.Parameter(p.detach().clone()) for p in ours.parameters()]
    optimizer = MasterOptimizer(ours, OptimizerConfig(muon=True, max_gradient_norm=1e9))
    reference = (
        torch.optim.Muon(theirs[:1], weight_decay=0.0, lr=1e-2, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(theirs[1:], weight_decay=0.0, lr=1e-2, betas=(0.9, 0.95), fused=True),
    )
    for step in range(3):
        for one, other in zip(ours.parameters(), theirs, strict=True):
            generator = torch.Generator().manual_seed(step)
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        optimizer.step(1e-2)
        for each in reference:
            each.step()
    for one, other in zip(ours.parameters(), theirs, strict=True):
        assert torch.equal(one, other)


def test_bfloat16_weights_follow_a_float32_run_through_steps_too_small_for_them() -> None:
    coarse, fine = network(dtype=torch.bfloat16), network(dtype=torch.bfloat16).float()
    start = coarse[0].weight.detach().float().clone()
    for net in (coarse, fine):
        optimizer = MasterOptimizer(net, OptimizerConfig())
        for _ in range(400):
            # The same gradient always, so that both runs see one direction.
            for parameter in net.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.collect_gradients()
            optimizer.step(1e-5)
    for one, other in zip(coarse.parameters(), fine.parameters(), strict=True):
        assert one.dtype == torch.bfloat16
        assert torch.equal(one, other.to(torch.bfloat16))
    moved = coarse[0].weight.detach().float() - start
    assert float(moved.mean()) == pytest.approx(-4e-3, rel=0.1)


def test_gradients_of_several_passes_are_summed_in_float32() -> None:
    net = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    optimizer = MasterOptimizer(net, OptimizerConfig(max_gradient_norm=1e9))
    for value in (256.0, 1.0, 1.0):
        net.weight.grad = torch.full_like(net.weight, value)
        optimizer.collect_gradients()
    # In bfloat16, 256 + 1 is 256.
    assert optimizer.step(1e-3) == 258.0


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_state_put_into_another_optimizer_goes_on_bit_for_bit(
    dtype: torch.dtype, muon: bool
) -> None:
    config = replace(CONFIG, muon=muon)
    whole, first = network(dtype=dtype), network(dtype=dtype)
    run_ours(whole, MasterOptimizer(whole, config), steps=range(6), rate=1e-2)

    begun = MasterOptimizer(first, config)
    run_ours(first, begun, steps=range(3), rate=1e-2)
    second = network(dtype=dtype)
    second.load_state_dict(first.state_dict())
    resumed = MasterOptimizer(second, config)
    resumed.load_state(begun.state())
    run_ours(second, resumed, steps=range(3, 6), rate=1e-2)
    for one, other in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(value: float) -> None:
    net = network()
    optimizer = MasterOptimizer(net, CONFIG)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, value)
    assert not math.isfinite(optimizer.step(1e-2))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())
    assert optimizer.state() == {}


def test_frozen_parameters_have_no_state() -> None:
    net = network()
    net[0].requires_grad_(False)
    optimizer = MasterOptimizer(net, CONFIG)
    run_ours(net, optimizer, steps=range(1), rate=1e-2)
    assert {name.split("/")[0] for name in optimizer.state()} == {
        "1.weight",
        "1.bias",
        "2.weight",
        "2.bias",
    }


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    stage = StageConfig(name="s", learning_rate=0.8, warmup_ratio=0.3)
    rates = [learning_rate_at(step, num_steps=10, stage=stage) for step in range(10)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert rates[3] == pytest.approx(0.8)
    assert rates[3:] == pytest.approx(
        [0.4 * (1 + math.cos(math.pi * step / 7)) for step in range(7)]
    )


def test_no_step_is_wasted_on_a_rate_of_zero() -> None:
    for ratio in (0.0, 0.03, 1.0):
        stage = StageConfig(name="s", learning_rate=0.5, warmup_ratio=ratio)
        for num_steps in (1, 2, 50):
            rates = [
                learning_rate_at(s, num_steps=num_steps, stage=stage) for s in range(num_steps)
            ]
            assert all(0 < rate <= 0.5 for rate in rates)


def test_without_warm_up_the_first_rate_is_the_peak() -> None:
    stage = StageConfig(name="s", learning_rate=0.5, warmup_ratio=0.0)
    assert learning_rate_at(0, num_steps=7, stage=stage) == 0.5
