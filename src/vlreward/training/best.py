"""Which validation of a run was the best one, told from its events."""

from __future__ import annotations

from collections.abc import Iterable

from vlreward.runs import Event
from vlreward.training.config import Metric


def best_step(events: Iterable[Event], *, by: Metric) -> int | None:
    """The step of the best validation, of equals the first; None without any."""
    validations = _validations(events, by=by)
    if not validations:
        return None
    return max(validations, key=lambda one: (one[1], -one[0]))[0]


def num_since_best(events: Iterable[Event], *, by: Metric, after_step: int) -> int:
    """How many validations have followed the best one of those after a step."""
    values = [value for step, value in _validations(events, by=by) if step > after_step]
    return len(values) - 1 - values.index(max(values)) if values else 0


def _validations(events: Iterable[Event], *, by: Metric) -> list[tuple[int, float]]:
    """Step and value of each; greater is better."""
    sign = -1.0 if by == "loss" else 1.0
    return [
        (event.fields["step"], sign * float(event.fields["overall"][by]))
        for event in events
        if event.kind == "validation"
    ]
