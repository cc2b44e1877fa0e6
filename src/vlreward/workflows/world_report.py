"""A reward model's page about the miniature world: one HTML file that asks nothing of a network."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from vlreward.durable import write_text_atomically
from vlreward.interfaces import Scorer
from vlreward.pictures import read_bytes
from vlreward.plotting import png_bytes
from vlreward.records import Picture, PreferencePair
from vlreward.training.validation import Share
from vlreward.workflows.world_exam import (
    HEADINGS,
    ExamResult,
    ExamRow,
    Judged,
    judge_pairs,
    share_of,
)

_NUM_MISTAKES = 8
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; } .shown img { height: 9rem; max-width: 100%; background: #fff; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin: .5rem 0 2rem; }
.pair > div { border-left: 4px solid #3a7d44; padding: 0 .75rem; overflow-wrap: anywhere; }
.pair > div + div { border-color: #b3402f; } .reward { font-weight: 600; }
.wide { overflow-x: auto; } small { white-space: nowrap; }
@media (max-width: 40rem) { .pair { grid-template-columns: 1fr; } body { padding: .75rem; } }
"""


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
        f"<h1>{html.escape(name)} on the miniature world</h1>",
        f"<p>{_said(overall)} of {len(judged)} unseen pairs ordered rightly.</p>",
        "<h2>By family and by quality</h2>",
        _table(result.rows),
        "<h2>Rewards by kind of answer</h2>",
        _image(_histograms(judged), "Histograms of rewards by kind of answer"),
        "<h2>Two cases</h2>",
        *(_case(case, scorers) for case in cases),
        "<h2>The worst mistakes</h2>",
        *(_shown(one) for one in _worst(judged)),
    ]
    if curves is not None and curves.exists():
        sections += ["<h2>Training</h2>", _image(curves.read_bytes(), "Loss and accuracy")]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(name)}: vlreward</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(sections)}</body></html>"
    )
    write_text_atomically(path, page)


def _said(share: Share | None) -> str:
    if share is None:
        return "—"
    low, high = share.interval
    return f"{share.accuracy:.3f} <small>[{low:.3f}, {high:.3f}]</small>"


def _table(rows: Sequence[ExamRow]) -> str:
    cells = "".join(
        f"<tr><td>{html.escape(row.name)}</td><td>{row.num_pairs}</td>"
        + "".join(f"<td>{_said(share)}</td>" for share in row.shares)
        + "</tr>"
        for row in rows
    )
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>'
        "</div>"
    )


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
    pictures = "".join(_picture(part) for part in content if isinstance(part, Picture))
    text = " ".join(part for part in content if isinstance(part, str))
    task = html.escape(pair.origin.task or "")
    return f'<div class="shown">{pictures}</div><p><b>{html.escape(text)}</b> ({task})</p>'


def _answers(pair: PreferencePair, chosen: Sequence[str], rejected: Sequence[str]) -> str:
    sides = []
    for title, response, rewards in (
        ("better", pair.chosen, chosen),
        ("worse", pair.rejected, rejected),
    ):
        kind = (response.model or "").removeprefix("world: ")
        said = html.escape("; ".join(rewards))
        sides.append(
            f'<div><div class="reward">{title} ({html.escape(kind)}): {said}</div>'
            f"{html.escape(response.text)}</div>"
        )
    return f'<div class="pair">{"".join(sides)}</div>'


def _picture(picture: Picture) -> str:
    return _image(read_bytes(picture), f"{picture.width} by {picture.height} pixels")


def _image(data: bytes, description: str) -> str:
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{encoded}">'
