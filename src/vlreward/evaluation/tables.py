"""Results on the console, laid out as the paper's tables, ours below the published rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vlreward.evaluation.accuracy import Accuracy, Tally
from vlreward.evaluation.published import PublishedTable
from vlreward.statistics import Interval

_MOST_CHARACTERS = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRow:
    """What we measured of a scorer or judge; `notes` say what is not as published.

    `word` is that of the published row of the same model, if there is one.
    """

    model: str
    accuracy: Accuracy
    intervals: Mapping[str, Interval | None]
    size: str = "–"
    notes: tuple[str, ...] = ()
    word: str | None = None


def results_table(
    rows: Sequence[MeasuredRow],
    *,
    title: str,
    published: PublishedTable | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """Our rows in per cent, with 95 % intervals below, under the published ones where there are.

    A row of a model that is published stands under that one's. Columns are the published table's,
    else all figures of our rows; where these are many they go down, and the models across. The
    caption names the source and says how ties and unread replies were counted, and what is missing;
    `notes` are on all rows.
    """
    names = figure_names(rows, published)
    table = Table(
        title=escape(title),
        caption=_caption(rows, published, notes),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    if is_turned(names, published):
        _fill_turned(table, rows, names)
    else:
        _fill(table, rows, names, published)
    return table


def _fill_turned(table: Table, rows: Sequence[MeasuredRow], names: Sequence[str]) -> None:
    table.add_column("Figure", overflow="fold")
    for index in range(len(rows)):
        table.add_column(_marked(rows, index), justify="right", overflow="fold")
    for name in names:
        table.add_row(escape(name), *(_cell(row, name) for row in rows))


def _fill(
    table: Table,
    rows: Sequence[MeasuredRow],
    names: Sequence[str],
    published: PublishedTable | None,
) -> None:
    table.add_column("Model", overflow="fold")
    for heading in ("Size", *names):
        table.add_column(escape(heading), justify="right", overflow="fold")

    def add(index: int, said: str = "") -> None:
        cells = (_cell(rows[index], name) for name in names)
        table.add_row(_marked(rows, index) + said, rows[index].size, *cells)

    beside, below = placed(rows, published)
    for group, quoted in published.groups if published is not None else ():
        table.add_row(Text(f"{group} (published)", style="bold"))
        for one in quoted:
            table.add_row(escape(one.model), one.size, *(f"{value:.1f}" for value in one.values))
            for index in beside.get(one.word, ()):
                add(index, " measured here")
        table.add_section()
    if published is not None and below:
        table.add_row(Text("Measured here", style="bold"))
    for index in below:
        add(index)


def _marked(rows: Sequence[MeasuredRow], index: int) -> Text:
    """The model's name, and the number of its line in the caption."""
    return Text(f"{rows[index].model} [{index + 1}]")


def is_turned(names: Sequence[str], published: PublishedTable | None) -> bool:
    """Whether the figures' names take so much room that they go down, and the models across."""
    return published is None and sum(map(len, names)) > _MOST_CHARACTERS


def placed(
    rows: Sequence[MeasuredRow], published: PublishedTable | None
) -> tuple[dict[str, list[int]], list[int]]:
    """The places of our rows by the published row's word, and of those that belong to none."""
    known = {one.word for one in published.rows} if published is not None else set()
    beside: dict[str, list[int]] = {}
    below = []
    for index, row in enumerate(rows):
        if row.word is not None and row.word in known:
            beside.setdefault(row.word, []).append(index)
        else:
            below.append(index)
    return beside, below


def remarks(row: MeasuredRow) -> str:
    """In words, what the row's figures rest on."""
    tally = tally_sentence(row.accuracy.tally, protocol=row.accuracy.protocol)
    return "; ".join([tally, *row.notes])


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
        "with a response cut at the length limit": tally.num_truncated,
    }
    return "; ".join([*parts, *(f"{name}: {number}" for name, number in counts.items() if number)])


def figure_names(rows: Sequence[MeasuredRow], published: PublishedTable | None) -> tuple[str, ...]:
    """The figures of the published table, else all of the rows, in their order."""
    if published is not None:
        return published.figures
    return tuple(dict.fromkeys(name for row in rows for name in row.accuracy.figures))


def _cell(row: MeasuredRow, name: str) -> Text:
    value, interval = row.accuracy.figures.get(name), row.intervals.get(name)
    if value is None:
        return Text("–")
    text = Text(f"{100 * value:.1f}")
    if interval is not None:
        text.append(f"\n{100 * interval.low:.1f}–{100 * interval.high:.1f}", style="dim")
    return text


def _caption(
    rows: Sequence[MeasuredRow], published: PublishedTable | None, notes: Sequence[str]
) -> str:
    lines = [f"Published: {published.source}; not measured here."] if published else []
    lines.append("In per cent; below, 95 % bootstrap intervals, prompts resampled.")
    if notes:
        lines.append(f"{'; '.join(notes)}.")
    lines += [f"[{number}] {remarks(row)}" for number, row in enumerate(rows, start=1)]
    return escape("\n".join(lines))
