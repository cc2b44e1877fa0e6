"""The plots of an evaluation's report, each a PNG file, narrow enough to be read on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.statistics.calibration import Calibration
from vlreward.evaluation.statistics.paired import Difference
from vlreward.evaluation.tables import MeasuredRow
from vlreward.plotting import png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _DPI = 5.2, 150
_MOST_BINS = 40
_RIGHT, _WRONG, _MARGIN = "#1f4e9c", "#c0504d", "#6b7f99"
_COLORS = ("#1f4e9c", "#c2410c", "#3a7d44", "#7c3aed", "#b58900", "#0e7490")
_LONGEST_NAME = 30


def plot_figures(
    rows: Sequence[MeasuredRow], *, published: Mapping[int, Mapping[str, float]]
) -> bytes:
    """Every figure of every row with its interval; hollow, what is published of the same model.

    `published` holds figures in per cent by the index of the row.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.accuracy.figures))
    step = 0.8 / len(rows)
    height = 0.3 * len(names) * max(1.0, 0.45 * len(rows)) + 0.16 * len(rows) + 0.9
    figure = _figure(height=height)
    axes = figure.subplots()
    colors = cycle(_COLORS)
    for index, (row, color) in enumerate(zip(rows, colors, strict=False)):
        shift = (index - (len(rows) - 1) / 2) * step
        for place, name in enumerate(names):
            _point(axes, row, name, y=place + shift, color=color)
            quoted = published.get(index, {}).get(name)
            if quoted is not None:
                axes.plot(
                    quoted, place + shift, "D", color=color, markerfacecolor="none", clip_on=False
                )
        axes.plot([], [], "o", color=color, label=_short(row.model))
    _name_rows(axes, names)
    axes.set_xlim(-1, 101)
    axes.set_xlabel("per cent, with 95 % intervals")
    axes.grid(axis="x", alpha=0.25)
    if any(published.values()):
        axes.plot([], [], "D", color="black", markerfacecolor="none", label="published")
    if len(rows) > 1 or any(published.values()):
        figure.legend(frameon=False, fontsize=8, loc="outside upper left", ncols=1)
    return _finished(figure)


def plot_rewards(outcomes: Sequence[Outcome]) -> bytes | None:
    """The scores of right and of wrong responses, and the margins between them; None without."""
    scored = [one for one in outcomes if one.scores]
    if not scored:
        return None
    sides: dict[bool, list[float]] = {True: [], False: []}
    for one in scored:
        for index, score in enumerate(one.scores):
            sides[index in one.right].append(score)
    margins = [one.margin for one in scored if one.margin is not None]
    figure = _figure(height=3.6)
    rewards, lead = figure.subplots(2, 1)
    every = [*sides[True], *sides[False]]
    shared: dict[str, Any] = {
        "bins": _num_bins(len(every)),
        "range": (min(every), max(every)),
        "histtype": "stepfilled",
        "alpha": 0.6,
    }
    for is_right, color, label in ((True, _RIGHT, "right"), (False, _WRONG, "wrong")):
        if sides[is_right]:
            rewards.hist(sides[is_right], color=color, label=label, **shared)
    rewards.set_xlabel("score of a response")
    rewards.legend(frameon=False, fontsize=8)
    if margins:
        lead.hist(margins, bins=_num_bins(len(margins)), color=_MARGIN)
    lead.axvline(0, color="black", linewidth=1)
    lead.set_xlabel("lead of the best right response over the best wrong one")
    for axes in (rewards, lead):
        axes.set_ylabel("number")
    return _finished(figure)


def plot_calibration(found: Calibration | None) -> bytes | None:
    """How often the preferred response is right, by how sure σ(margin) says it is."""
    if found is None:
        return None
    figure = _figure(height=3.6)
    axes = figure.subplots()
    axes.plot([50, 100], [50, 100], color="#888888", linestyle=":", linewidth=1)
    largest = max(one.num_pairs for one in found.bins)
    axes.scatter(
        [100 * one.confidence for one in found.bins],
        [100 * one.accuracy for one in found.bins],
        s=[20 + 180 * one.num_pairs / largest for one in found.bins],
        color=_RIGHT,
        alpha=0.7,
        clip_on=False,
    )
    axes.set_xlim(48, 102)
    axes.set_ylim(0, 103)
    axes.set_xlabel("σ(margin), in per cent; larger dots stand for more pairs")
    axes.set_ylabel("right, per cent")
    axes.grid(alpha=0.25)
    return _finished(figure)


def plot_differences(differences: Mapping[str, Difference]) -> bytes:
    """The differences between two models with their intervals, in points of per cent."""
    figure = _figure(height=0.3 * len(differences) + 0.9)
    axes = figure.subplots()
    axes.axvline(0, color="#888888", linewidth=1)
    for y, found in enumerate(differences.values()):
        if found.interval is not None:
            low, high = found.interval
            axes.plot([100 * low, 100 * high], [y, y], color=_RIGHT, linewidth=1.5)
        axes.plot(100 * found.value, y, "o", color=_RIGHT, markersize=5)
    _name_rows(axes, list(differences))
    axes.set_xlabel("first less second, in points, with 95 % intervals")
    axes.grid(axis="x", alpha=0.25)
    return _finished(figure)


def _point(axes: Any, row: MeasuredRow, name: str, *, y: float, color: str) -> None:
    value, interval = row.accuracy.figures.get(name), row.intervals.get(name)
    if value is None:
        return
    if interval is not None:
        axes.plot([100 * interval.low, 100 * interval.high], [y, y], color=color, linewidth=1.5)
    axes.plot(100 * value, y, "o", color=color, markersize=5, clip_on=False)


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    """Names down the left side, the first on top."""
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)


def _figure(*, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")


def _finished(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    return png_bytes(figure)


def _num_bins(number: int) -> int:
    return min(_MOST_BINS, max(8, number // 8))


def _short(name: str) -> str:
    """The name without its middle, if it is long: both ends may tell it from others."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = _LONGEST_NAME // 2
    return f"{name[: half - 1]}…{name[-half:]}"
