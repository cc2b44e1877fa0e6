"""The run's curves: loss and accuracy of training steps and validations in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from vlreward.durable import write_bytes_atomically
from vlreward.plotting import png_bytes
from vlreward.runs import Event

_SMOOTHING = 0.9
_FEW_STEPS = 30


def draw_curves(events: Sequence[Event], path: Path) -> None:
    """Writes a PNG from a run's events; does nothing before the first step was logged."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    steps = [event.fields for event in events if event.kind == "step"]
    if not steps:
        return
    validations = [event.fields for event in events if event.kind == "validation"]
    stages = [event.fields for event in events if event.kind == "stage"]
    figure = Figure(figsize=(10, 4), dpi=120)
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.13, top=0.92, wspace=0.16)
    x = [step["step"] for step in steps]
    for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        values = [float(step[key]) for step in steps]
        marker = "." if len(x) < _FEW_STEPS else None
        axes.plot(x, values, color="#b8c4d6", linewidth=0.8, marker=marker, label="step")
        axes.plot(x, _smooth(values), color="#1f4e9c", linewidth=1.6, label="step, smoothed")
        if validations and key in validations[0]["overall"]:
            axes.plot(
                [found["step"] for found in validations],
                [float(found["overall"][key]) for found in validations],
                color="#c2410c",
                marker="o",
                linewidth=1.6,
                label="validation",
            )
        for stage in stages[1:]:
            axes.axvline(stage["step"], color="#888888", linestyle=":", linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("optimizer step")
        axes.set_title(key)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    write_bytes_atomically(path, png_bytes(figure))


def _smooth(values: Sequence[float]) -> list[float]:
    """Exponential moving average, corrected for its start."""
    sums = list(accumulate(values, lambda total, v: _SMOOTHING * total + v, initial=0.0))[1:]
    weights = list(accumulate((1.0 for _ in values), lambda t, v: _SMOOTHING * t + v))
    return [total / weight for total, weight in zip(sums, weights, strict=True)]
