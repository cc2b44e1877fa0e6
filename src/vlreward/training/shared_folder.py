"""A run's folder in the hands of several processes: the first one writes, all read the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlreward.runs import Clock, Event, RunFolder
from vlreward.training.processes import Processes


class SharedRunFolder(RunFolder):
    """See `RunFolder`; every process has to make the same calls."""

    def __init__(self, path: Path, *, clock: Clock, processes: Processes) -> None:
        """The folder, which the first process must have made."""
        super().__init__(path, clock=clock)
        self._processes = processes
        if processes.is_first:
            self._resume_events()

    def append_event(self, kind: str, /, **fields: Any) -> None:
        """Adds an event."""
        if self._processes.is_first:
            super().append_event(kind, **fields)

    def read_events(self) -> list[Event]:
        """All events in order."""
        return self._processes.from_first(self._read_events)

    def rewind_events(self, *, step: int) -> None:
        """Drops the events of a `step` field above the given one."""
        if self._processes.is_first:
            super().rewind_events(step=step)

    def withdraw(self) -> None:
        """Takes back what was written of a run that could not begin."""
        if self._processes.is_first:
            super().withdraw()
