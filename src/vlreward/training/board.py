"""A run's curves elsewhere, live: in TensorBoard, trackio or Weights & Biases.

The run folder's own `curves.png` and `events.jsonl` need none of them. What a tracker wants to
know beside that (key, project, server, offline or not) it reads from its own settings and
environment variables.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from vlreward import configuration
from vlreward.extras import import_extra
from vlreward.training.config import RunConfig, Tracker

_PROJECT = "vlreward"
"""Where a tracker is told of no other project."""


class Start(NamedTuple):
    """What a tracker is told of a run when it starts, or goes on."""

    config: RunConfig
    folder: Path
    first_step: int

    @property
    def id(self) -> str:
        """One for all starts of a run."""
        return hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:16]

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration as plain values."""
        found: dict[str, Any] = configuration.to_plain(self.config)
        return found


class Board(Protocol):
    """Takes values of steps."""

    def add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """Adds the values as `group/name`."""
        ...

    def close(self) -> None:
        """Ends the curves, or this start's part of them."""
        ...


class Boards:
    """Several boards as one; none is one, too."""

    def __init__(self, boards: Sequence[Board]) -> None:
        self._boards = boards

    def add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """See `Board`."""
        for board in self._boards:
            board.add(group, step, values)

    def close(self) -> None:
        """See `Board`."""
        for board in self._boards:
            board.close()


class _TensorBoard:
    """Writes files that TensorBoard reads; a later start takes back what it makes again."""

    def __init__(self, start: Start) -> None:
        tensorboard = import_extra("torch.utils.tensorboard", extra="track")
        folder = str(start.folder / "tensorboard")
        self._writer = tensorboard.SummaryWriter(folder, purge_step=start.first_step)

    def add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    """Logs into trackio's own place, under one name for all starts."""

    def __init__(self, start: Start) -> None:
        trackio = import_extra("trackio", extra="trackio")
        self._run = trackio.init(
            project=_PROJECT,
            name=f"{start.folder.name}-{start.id[:6]}",
            config=start.settings,
            resume="allow",
            embed=False,
        )

    def add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{group}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


class _WeightsAndBiases:
    """Logs into the run of one id; steps that are made again do not count twice there."""

    def __init__(self, start: Start) -> None:
        wandb = import_extra("wandb", extra="wandb")
        project = wandb.Settings().project or _PROJECT
        self._run = wandb.init(
            project=project,
            id=start.id,
            name=start.folder.name,
            dir=str(start.folder),
            config=start.settings,
            resume="allow",
        )
        self._run.define_metric("step")
        for group in ("train", "validation", "speed"):
            self._run.define_metric(f"{group}/*", step_metric="step")

    def add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        named = {f"{group}/{name}": value for name, value in values.items()}
        self._run.log(named | {"step": step})

    def close(self) -> None:
        self._run.finish()


_KINDS: Mapping[Tracker, Callable[[Start], Board]] = {
    "tensorboard": _TensorBoard,
    "trackio": _Trackio,
    "wandb": _WeightsAndBiases,
}
_EXTRAS: Mapping[Tracker, str] = {"tensorboard": "track", "trackio": "trackio", "wandb": "wandb"}


def find_trackers(trackers: Sequence[Tracker]) -> None:
    """Raises MissingExtraError if one is not installed."""
    for tracker in trackers:
        import_extra(tracker, extra=_EXTRAS[tracker])


def open_boards(config: RunConfig, *, folder: Path, first_step: int) -> Boards:
    """The boards that a run wants; `first_step` is the next to be made."""
    start = Start(config, folder, first_step)
    return Boards([_KINDS[tracker](start) for tracker in config.trackers])
