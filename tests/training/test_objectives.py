"""The Bradley-Terry loss and its terms, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vlreward.training.objectives import PairwiseLoss

REWARDS = st.floats(-30, 30, width=32)


def loss_of(
    objective: PairwiseLoss, chosen: float, rejected: float, *, margin: float = 0.0
) -> float:
    values = (torch.tensor([value], dtype=torch.float64) for value in (chosen, rejected, margin))
    return float(objective(*values))


def gradients_of(objective: PairwiseLoss, chosen: float, rejected: float) -> tuple[float, float]:
    values: list[Tensor] = [torch.tensor([v], requires_grad=True) for v in (chosen, rejected)]
    objective(*values, torch.zeros(1)).sum().backward()
    return float(values[0].grad), float(values[1].grad)  # type: ignore[arg-type]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_loss_is_minus_the_log_of_the_preferences_probability() -> None:
    assert loss_of(PairwiseLoss(), 1.5, 0.5) == pytest.approx(-math.log(sigmoid(1.0)))
    assert loss_of(PairwiseLoss(), 0.5, 1.5) == pytest.approx(-math.log(sigmoid(-1.0)))
    assert loss_of(PairwiseLoss(), 2.0, 2.0) == pytest.approx(math.log(2))


def test_its_gradient_is_the_probability_of_being_wrong() -> None:
    chosen, rejected = gradients_of(PairwiseLoss(), 1.5, 0.5)
    assert chosen == pytest.approx(-sigmoid(-1.0))
    assert rejected == pytest.approx(sigmoid(-1.0))


def test_a_margin_is_taken_off_the_difference() -> None:
    with_margin = loss_of(PairwiseLoss(), 3.0, 1.0, margin=0.5)
    assert with_margin == pytest.approx(loss_of(PairwiseLoss(), 1.5, 0.0))


def test_label_smoothing_mixes_in_the_opposite_preference() -> None:
    smoothed = loss_of(PairwiseLoss(label_smoothing=0.1), 1.0, 0.0)
    right, wrong = loss_of(PairwiseLoss(), 1.0, 0.0), loss_of(PairwiseLoss(), 0.0, 1.0)
    assert smoothed == pytest.approx(0.9 * right + 0.1 * wrong)


def test_smoothed_labels_are_content_at_the_log_odds_of_the_smoothing() -> None:
    chosen, rejected = gradients_of(PairwiseLoss(label_smoothing=0.1), math.log(9), 0.0)
    assert (chosen, rejected) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_centring_adds_the_square_of_the_sum() -> None:
    centred = loss_of(PairwiseLoss(centering=0.01), 3.0, 1.0)
    assert centred == pytest.approx(loss_of(PairwiseLoss(), 3.0, 1.0) + 0.01 * 16)


def test_centring_pulls_both_rewards_the_same_way() -> None:
    plain = gradients_of(PairwiseLoss(), 3.0, 1.0)
    centred = gradients_of(PairwiseLoss(centering=0.01), 3.0, 1.0)
    assert [c - p for c, p in zip(centred, plain, strict=True)] == pytest.approx([0.08, 0.08])


def test_extreme_differences_stay_finite() -> None:
    assert loss_of(PairwiseLoss(), -1e4, 1e4) == pytest.approx(2e4)
    assert gradients_of(PairwiseLoss(), -1e4, 1e4) == (-1.0, 1.0)
    assert loss_of(PairwiseLoss(), 1e4, -1e4) == 0.0


@given(chosen=REWARDS, rejected=REWARDS, shift=REWARDS)
def test_only_the_difference_counts(chosen: float, rejected: float, shift: float) -> None:
    moved = loss_of(PairwiseLoss(), chosen + shift, rejected + shift)
    assert moved == pytest.approx(loss_of(PairwiseLoss(), chosen, rejected), abs=1e-9)


def test_every_pair_keeps_its_own_loss() -> None:
    chosen, rejected = torch.tensor([1.0, 0.0, 5.0]), torch.tensor([0.0, 1.0, 5.0])
    losses = PairwiseLoss()(chosen, rejected, torch.zeros(3))
    assert losses.shape == (3,)
    assert losses.tolist() == pytest.approx([0.313262, 1.313262, 0.693147], abs=1e-6)
