"""Results on the console, laid out as the paper's tables, ours below the published rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vlreward.evaluation.accuracy import Accuracy, Tally
from vlreward.evaluation.published import PublishedTable
from vlreward.statistics import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRow:
    """What we measured of a scorer or judge; `notes` say what is not as published."""

    model: str
    accuracy: Accuracy
    intervals: Mapping[str, Interval | None]
    size: str = "–"
    notes: tuple[str, ...] = ()


def results_table(
    rows: Sequence[MeasuredRow], *, title: str, published: PublishedTable | None = None
) -> Table:
    """Our rows in per cent, with 95 % intervals below, under the published ones where there are.

    Columns are the published table's, else all figures of our rows. The caption names the source,
    how ties and unread replies were counted, and what is missing.
    """
    names = published.figures if published is not None else _names(rows)
    table = Table(title=escape(title), caption=_caption(rows, published), caption_justify="left")
    table.add_column("Model", overflow="fold")
    table.add_column("Size", justify="right")
    for name in names:
        table.add_column(escape(name), justify="right")
    for group, quoted in published.groups if published is not None else ():
        table.add_row(Text(f"{group} (published)", style="bold"))
        for row in quoted:
            table.add_row(escape(row.model), row.size, *(f"{value:.1f}" for value in row.values))
        table.add_section()
    if published is not None:
        table.add_row(Text("Measured here", style="bold"))
    for number, mine in enumerate(rows, start=1):
        mark = f" [{number}]" if _remarks(mine) else ""
        cells = [_cell(mine, name) for name in names]
        table.add_row(Text(f"{mine.model}{mark}"), mine.size, *cells)
    return table


def tally_sentence(tally: Tally, *, protocol: str | None) -> str:
    """In words, how many rows there were and what became of those without a plain verdict."""
    parts = [f"rows: {tally.num_rows}"]
    if protocol is not None:
        parts.append(f"protocol: {protocol}")
        parts.append(f"replies that could not be read: {tally.num_unparsed} of {tally.num_votes}")
    counts = {
        "ties": tally.num_ties,
        "left out by the protocol": tally.num_left_out,
        "without a result": tally.num_failed,
    }
    return "; ".join([*parts, *(f"{name}: {number}" for name, number in counts.items() if number)])


def _names(rows: Sequence[MeasuredRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.accuracy.figures))


def _cell(row: MeasuredRow, name: str) -> Text:
    value, interval = row.accuracy.figures.get(name), row.intervals.get(name)
    if value is None:
        return Text("–")
    text = Text(f"{100 * value:.1f}")
    if interval is not None:
        text.append(f"\n{100 * interval.low:.1f}–{100 * interval.high:.1f}", style="dim")
    return text


def _remarks(row: MeasuredRow) -> str:
    tally = tally_sentence(row.accuracy.tally, protocol=row.accuracy.protocol)
    return "; ".join([tally, *row.notes])


def _caption(rows: Sequence[MeasuredRow], published: PublishedTable | None) -> str:
    lines = [f"Published: {published.source}; not measured here."] if published else []
    lines.append("In per cent; below, 95 % bootstrap intervals, prompts resampled.")
    lines += [f"[{number}] {_remarks(row)}" for number, row in enumerate(rows, start=1)]
    return escape("\n".join(lines))
