"""Progress for people: a bar with rate and time left, or now and then a line off a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Protocol

from rich import progress as rich_progress
from rich.console import Console

_SECONDS_BETWEEN_LINES = 30.0


class Advance(Protocol):
    """Called once for each finished unit, with a few words on it where there are any."""

    def __call__(self, note: str = "") -> None:
        """One unit is done."""
        ...


@cache
def _standard_error() -> Console:
    """One for all: bars that are open at once, as a step's and its training's, share the place."""
    return Console(stderr=True)


class Progress:
    """Shows phases of work on standard error; use it as a context manager."""

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(quiet=True) if quiet else _standard_error()
        self._clock = clock
        self._bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TaskProgressColumn(show_speed=True),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """A line that stays."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def phase(self, name: str, *, total: int | None = None, done: int = 0) -> Iterator[Advance]:
        """A phase of `total` units, `done` of them finished before it began."""
        task = self._bars.add_task(name, total=total, completed=done, note="")
        started = last_line = self._clock()
        count = done

        def advance(note: str = "") -> None:
            nonlocal count, last_line
            count += 1
            self._bars.update(task, advance=1, note=note)
            now = self._clock()
            if not self._console.is_terminal and now - last_line > _SECONDS_BETWEEN_LINES:
                last_line = now
                rate = (count - done) / (now - started)
                self.say(_line(name, count, total=total, rate=rate, note=note))

        try:
            yield advance
        finally:
            self._bars.remove_task(task)


def _line(name: str, count: int, *, total: int | None, rate: float, note: str) -> str:
    if total is None:
        return f"{name}: {count} ({rate:.1f}/s)  {note}".rstrip()
    minutes = (total - count) / rate / 60
    return f"{name}: {count}/{total} ({rate:.1f}/s, {minutes:.0f} min left)  {note}".rstrip()
