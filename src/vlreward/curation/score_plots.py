"""The distributions of a surrogate's scores, with the lines up to which rows are weak."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlreward.curation.surrogate import Scored
from vlreward.curation.weakness import Weakness
from vlreward.durable import write_bytes_atomically
from vlreward.plotting import png_bytes

_NUM_BINS = 40
_CHOSEN, _REJECTED, _MARGINS = "#1f4e9c", "#c0504d", "#6b7f99"


def draw_scores(scores: Sequence[Scored], *, weakness: Weakness, path: Path) -> None:
    """Writes a PNG: the rewards of each fold's answers, and beside them their margins."""
    from matplotlib.figure import Figure

    lines = weakness.lines(scores)
    figure = Figure(figsize=(10, 2.6 * max(1, len(lines))), dpi=120, layout="constrained")
    axes = figure.subplots(max(1, len(lines)), 2, squeeze=False)
    for (rewards, margins), (fold, line) in zip(axes, lines.items(), strict=False):
        own = [one for one in scores if one.fold == fold and one.margin is not None]
        shared = {"bins": _NUM_BINS, "histtype": "stepfilled", "alpha": 0.6}
        answers = ([one.chosen for one in own], [one.rejected for one in own])
        colors, labels = [_CHOSEN, _REJECTED], ["chosen", "rejected"]
        rewards.hist(answers, color=colors, label=labels, **shared)
        _mark(rewards, line.chosen, label="weak chosen answers end here")
        margins.hist([one.margin for one in own], color=_MARGINS, label="margins", **shared)
        _mark(margins, line.margin, label="weak margins end here")
        if weakness.min_margin is not None:
            _mark(margins, weakness.min_margin, label="least margin")
        for one, title in ((rewards, "rewards"), (margins, "chosen less rejected")):
            one.set_title(f"fold {fold}: {title}", fontsize=10)
            one.spines[["top", "right"]].set_visible(False)
            one.legend(fontsize=8, frameon=False)
    write_bytes_atomically(path, png_bytes(figure))


def _mark(axes: Any, value: float, *, label: str) -> None:
    if math.isfinite(value):
        style = "--" if "end" in label else ":"
        axes.axvline(value, color="black", linewidth=1, linestyle=style, label=label)
