"""A run's curves in TensorBoard, live, beside the run folder's own `curves.png`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vlreward.extras import import_extra


class Board:
    """Writes scalars for TensorBoard into a folder; needs the extra `track`."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        """Values that an earlier start wrote for `first_step` and later are taken back.

        Raises MissingExtraError if TensorBoard is not installed.
        """
        tensorboard = import_extra("torch.utils.tensorboard", extra="track")
        self._writer = tensorboard.SummaryWriter(str(folder), purge_step=first_step)

    def add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """Adds the values as `group/name`; they are on disk at once."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
