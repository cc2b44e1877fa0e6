import asyncio
import random
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest

from vlreward.generation.pacing import AdaptiveLimit, retry_after_seconds, wait_seconds
from vlreward.generation.virtual_time import VirtualTimeLoop

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        (
            {
                "retry-after": format_datetime(
                    datetime.fromtimestamp(NOW + 9, UTC).replace(tzinfo=None)
                )
            },
            9.0,
        ),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers, seconds):
    assert retry_after_seconds(headers, now=NOW) == seconds


def test_waits_grow_with_jitter_to_a_limit_and_never_undercut_what_was_asked():
    rng = random.Random(1)
    waits = [[wait_seconds(n, retry_after=None, rng=rng) for _ in range(50)] for n in range(1, 12)]
    for number, some in enumerate(waits):
        high = min(2.0**number, 60)
        assert all(high / 2 <= wait <= high for wait in some)
        assert len(set(some)) == 50
    assert all(5 <= wait_seconds(n, retry_after=5.0, rng=rng) <= 11 for n in range(1, 101))


def test_the_limit_halves_once_for_all_calls_of_one_overload_and_recovers_by_successes():
    limit = AdaptiveLimit(most=64)
    numbers = []

    async def call():
        async with limit.slot() as number:
            numbers.append(number)
            await asyncio.sleep(1)

    async def calls():
        await asyncio.gather(*(call() for _ in range(64)))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(calls())
        for number in numbers:
            limit.overloaded(number)
        assert limit.limit == 32
        runner.run(calls())
        limit.overloaded(numbers[-1])
        assert limit.limit == 16
    for _ in range(17):
        limit.succeeded()
    assert limit.limit == 17
    for _ in range(10_000):
        limit.succeeded()
    assert limit.limit == 64


def test_the_limit_never_falls_below_one():
    limit = AdaptiveLimit(most=2)
    for number in range(1, 5):
        limit.overloaded(number)
    assert limit.limit == 1


def test_no_more_calls_are_out_than_the_limit_allows_and_all_get_their_turn():
    limit = AdaptiveLimit(most=5)
    out, most, done = 0, 0, []

    async def call(index):
        nonlocal out, most
        async with limit.slot():
            out += 1
            most = max(most, out)
            await asyncio.sleep(1)
            out -= 1
            done.append(index)

    async def calls():
        await asyncio.gather(*(call(index) for index in range(40)))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(calls())
    assert (most, sorted(done)) == (5, list(range(40)))
