"""What people see of a run off a terminal: a line now and then, with rate and time left."""

from __future__ import annotations

import pytest

from vlreward.progress import Progress


class TickingClock:
    """A clock that moves on by so many seconds whenever it is asked."""

    def __init__(self, *, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_off_a_terminal_a_line_comes_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(clock=TickingClock(seconds=10))
    with progress, progress.phase("Stage one", total=100, done=40) as advance:
        for step in range(8):
            advance(f"loss {step}")
    assert lines_of(capsys) == [
        "Stage one: 44/100 (0.1/s, 9 min left)  loss 3",
        "Stage one: 48/100 (0.1/s, 9 min left)  loss 7",
    ]


def test_a_phase_of_unknown_length_has_a_rate_and_no_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(clock=TickingClock(seconds=20))
    with progress, progress.phase("Reading pairs") as advance:
        for _ in range(2):
            advance()
    assert lines_of(capsys) == ["Reading pairs: 2 (0.1/s)"]


def test_a_quick_phase_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(clock=TickingClock(seconds=0.1))
    with progress, progress.phase("Reading pairs", total=3) as advance:
        for _ in range(3):
            advance()
    assert lines_of(capsys) == []


def test_a_line_that_is_said_is_said_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    message = "Skipped [bold]step-4[/bold]: " + "long " * 60
    Progress().say(message)
    assert lines_of(capsys) == [message]
