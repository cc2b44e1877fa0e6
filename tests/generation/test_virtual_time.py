import asyncio
import time

import pytest

from vlreward.generation.virtual_time import VirtualTimeLoop


def run(main):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def test_hours_pass_at_once_and_in_order():
    woken = []

    async def sleeper(hours):
        await asyncio.sleep(hours * 3600)
        woken.append((hours, asyncio.get_running_loop().time() / 3600))

    async def sleepers():
        await asyncio.gather(*(sleeper(hours) for hours in (3, 1, 2)))

    started = time.monotonic()
    run(sleepers())
    assert time.monotonic() - started < 600
    assert woken == [(1, pytest.approx(1)), (2, pytest.approx(2)), (3, pytest.approx(3))]


def test_a_timeout_cuts_what_takes_longer():
    async def slow():
        async with asyncio.timeout(10):
            await asyncio.sleep(11)

    with pytest.raises(TimeoutError):
        run(slow())


def test_work_for_a_thread_is_done_at_once_and_its_error_arrives():
    async def both():
        assert await asyncio.to_thread(int, "7") == 7
        await asyncio.to_thread(int, "x")

    with pytest.raises(ValueError, match="'x'"):
        run(both())


def test_waiting_for_what_no_time_brings_is_an_error_and_no_hang():
    async def stuck():
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="everything waits"):
        run(stuck())
