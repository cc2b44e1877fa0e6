"""How fast a run goes, and how much memory it has held: for curves, not for its record.

The record (`events.jsonl`) holds what the same run gives again; this is of one machine and hour.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable

import torch

from vlreward.training.loop import StepMetrics

_GIB = 2**30


class Pace:
    """Measures from one step that is noted to the next."""

    def __init__(self, *, clock: Callable[[], float], device: torch.device) -> None:
        self._clock = clock
        self._device = device
        self._noted_at: float | None = None
        self._num_units = self._num_tokens = 0

    def after_step(self, metrics: StepMetrics) -> None:
        """Counts a step, noted or not."""
        self._num_units += metrics.num_units
        self._num_tokens += metrics.num_tokens

    def measure(self) -> dict[str, float]:
        """Units and tokens a second since the last call, and the most memory held; in GiB.

        The first call has no rates: what came before it was no step alone.
        """
        now, before = self._clock(), self._noted_at
        found = {"peak_gib": _peak_bytes(self._device) / _GIB}
        if before is not None and now > before:
            found["units_per_second"] = self._num_units / (now - before)
            found["tokens_per_second"] = self._num_tokens / (now - before)
        self._noted_at, self._num_units, self._num_tokens = now, 0, 0
        return found


def _peak_bytes(device: torch.device) -> int:
    """Of the GPU, else of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
