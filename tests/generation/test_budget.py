import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlreward.errors import ConfigError
from vlreward.generation.budget import Budget
from vlreward.generation.virtual_time import VirtualTimeLoop

DOLLARS = st.floats(0, 2, allow_nan=False)


def run(main):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


@given(
    cap=DOLLARS,
    spent=DOLLARS,
    calls=st.lists(st.tuples(DOLLARS, st.floats(0, 1), st.floats(0.01, 5)), max_size=64),
)
def test_spent_and_reserved_never_pass_the_cap_with_many_calls_at_once(cap, spent, calls):
    budget = Budget(cap, spent=spent)
    most = max(cap, spent) + 1e-9
    refused = []

    async def call(worst, share, seconds):
        reservation = await budget.reserve(worst)
        assert budget.spent + budget.reserved <= most
        if reservation is None:
            refused.append(worst)
            assert budget.spent + worst > cap
            return
        await asyncio.sleep(seconds)
        budget.settle(reservation, dollars=worst * share)
        assert budget.spent + budget.reserved <= most

    async def all_at_once():
        await asyncio.gather(*(call(*one) for one in calls))

    run(all_at_once())
    assert budget.reserved == 0
    paid = math.fsum([spent, *(worst * share for worst, share, _ in calls)])
    if not refused:
        assert budget.spent == pytest.approx(paid)


def test_a_call_waits_for_money_that_open_calls_may_free():
    budget = Budget(1.0)
    first = budget.try_reserve(0.9)

    async def second():
        return await budget.reserve(0.5)

    async def both():
        waiting = asyncio.create_task(second())
        await asyncio.sleep(1)
        assert not waiting.done()
        budget.settle(first, dollars=0.2)
        return await waiting

    assert run(both()) is not None


def test_a_call_that_can_never_fit_is_refused_at_once_though_others_are_open():
    budget = Budget(1.0, spent=0.6)
    assert budget.try_reserve(0.1)
    assert run(budget.reserve(0.5)) is None


def test_without_a_cap_everything_fits():
    budget = Budget()
    assert all(budget.try_reserve(1e9) for _ in range(100))


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_cap_that_is_no_amount_is_refused(value):
    with pytest.raises(ConfigError, match="max_dollars"):
        Budget(value)
