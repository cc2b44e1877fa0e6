"""Rates from one noted step to the next."""

from __future__ import annotations

import itertools

import pytest
import torch

from vlreward.training.loop import StepMetrics
from vlreward.training.pace import Pace


def step(num_units: int, num_tokens: int) -> StepMetrics:
    return StepMetrics(0.5, {}, 1.0, 1e-3, num_units, num_tokens)


def test_rates_count_the_steps_in_between_and_begin_with_the_second_note():
    pace = Pace(clock=itertools.count(0, 2).__next__, device=torch.device("cpu"))
    pace.after_step(step(4, 100))
    assert pace.measure().keys() == {"peak_gib"}
    pace.after_step(step(4, 100))
    pace.after_step(step(2, 60))
    found = pace.measure()
    assert (found["units_per_second"], found["tokens_per_second"]) == (3.0, 80.0)
    assert 0.05 < found["peak_gib"] < 1000


def test_a_clock_that_stands_still_gives_no_rate():
    pace = Pace(clock=lambda: 0.0, device=torch.device("cpu"))
    pace.measure()
    assert pace.measure().keys() == {"peak_gib"}


@pytest.mark.gpu
def test_on_a_gpu_its_memory_counts():
    assert Pace(clock=lambda: 0.0, device=torch.device("cuda")).measure()["peak_gib"] < 1000
