"""A reward model's page about the miniature world: one HTML file that asks nothing of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vlreward.durable import write_text_atomically
from vlreward.interfaces import Scorer
from vlreward.plotting import png_bytes
from vlreward.records import Picture, PreferencePair
from vlreward.training.validation import Share
from vlreward.workflows.pages import escape, image, page, picture, share, table
from vlreward.workflows.world_exam import (
    HEADINGS,
    ExamResult,
    ExamRow,
    Judged,
    judge_pairs,
    share_of,
)

_NUM_MISTAKES = 8


def write_world_report(
    path: Path,
    *,
    name: str,
    result: ExamResult,
    scorers: Mapping[str, Scorer],
    cases: Sequence[PreferencePair],
    curves: Path | None = None,
) -> None:
    """Writes what a scorer did in the exam, and what all scorers say of the cases."""
    judged = [*result.seen, *result.text]
    overall = share_of(judged)
    sections = [
        f"<h1>{escape(name)} on the miniature world</h1>",
        f"<p>{_said(overall)} of {len(judged)} unseen pairs ordered rightly.</p>",
        "<h2>By family and by quality</h2>",
        _table(result.rows),
        "<h2>Rewards by kind of answer</h2>",
        image(_histograms(judged), "Histograms of rewards by kind of answer"),
        "<h2>Two cases</h2>",
        *(_case(case, scorers) for case in cases),
        "<h2>The worst mistakes</h2>",
        *(_shown(one) for one in _worst(judged)),
    ]
    if curves is not None and curves.exists():
        sections += ["<h2>Training</h2>", image(curves.read_bytes(), "Loss and accuracy")]
    write_text_atomically(path, page(name, sections))


def _said(found: Share | None) -> str:
    return "—" if found is None else share(found.accuracy, found.interval)


def _table(rows: Sequence[ExamRow]) -> str:
    cells = (
        [escape(row.name), str(row.num_pairs), *(_said(one) for one in row.shares)] for row in rows
    )
    return table(HEADINGS, cells)


def _histograms(judged: Sequence[Judged]) -> bytes:
    from matplotlib.figure import Figure

    by_kind: dict[str, list[float]] = {}
    for one in judged:
        for response, reward in ((one.pair.chosen, one.chosen), (one.pair.rejected, one.rejected)):
            kind = (response.model or "unknown").removeprefix("world: ")
            by_kind.setdefault(kind, []).append(reward)
    figure = Figure(figsize=(8, 1.1 * len(by_kind) + 0.6), dpi=110, layout="constrained")
    low, high = (f(r for rewards in by_kind.values() for r in rewards) for f in (min, max))
    axes = figure.subplots(len(by_kind), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (kind, rewards) in zip(axes, sorted(by_kind.items()), strict=True):
        ax.hist(rewards, bins=50, range=(low, high), color="#1f4e9c")
        ax.set_yticks([])
        ax.set_ylabel(kind, rotation=0, ha="right", va="center")
    axes[-1].set_xlabel("reward")
    return png_bytes(figure)


def _worst(judged: Sequence[Judged]) -> list[Judged]:
    mistakes = [one for one in judged if not one.is_right]
    return sorted(mistakes, key=lambda one: one.chosen - one.rejected)[:_NUM_MISTAKES]


def _shown(one: Judged) -> str:
    """A pair with its pictures and what each answer got."""
    return _question(one.pair) + _answers(
        one.pair, [f"{one.chosen:+.2f}"], [f"{one.rejected:+.2f}"]
    )


def _case(pair: PreferencePair, scorers: Mapping[str, Scorer]) -> str:
    """A pair with what each scorer gave its answers."""
    given = {name: judge_pairs(scorer, [pair])[0] for name, scorer in scorers.items()}
    return _question(pair) + _answers(
        pair,
        [f"{name} {one.chosen:+.2f}" for name, one in given.items()],
        [f"{name} {one.rejected:+.2f}" for name, one in given.items()],
    )


def _question(pair: PreferencePair) -> str:
    content = [part for message in pair.prompt.messages for part in message.content]
    pictures = "".join(picture(part) for part in content if isinstance(part, Picture))
    text = " ".join(part for part in content if isinstance(part, str))
    task = escape(pair.origin.task or "")
    return f'<div class="shown">{pictures}</div><p><b>{escape(text)}</b> ({task})</p>'


def _answers(pair: PreferencePair, chosen: Sequence[str], rejected: Sequence[str]) -> str:
    sides = []
    for title, response, rewards in (
        ("better", pair.chosen, chosen),
        ("worse", pair.rejected, rejected),
    ):
        kind = (response.model or "").removeprefix("world: ")
        said = escape("; ".join(rewards))
        sides.append(
            f'<div><div class="reward">{title} ({escape(kind)}): {said}</div>'
            f"{escape(response.text)}</div>"
        )
    return f'<div class="pair">{"".join(sides)}</div>'
