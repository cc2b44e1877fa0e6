"""Steps one after the other: each sees what the ones before it left, and says what goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pydantic import TypeAdapter

from vlreward.curation.frames import Frame, daft
from vlreward.curation.ledger import Entry
from vlreward.curation.steps import Bench, Drop, PaidStep, Step
from vlreward.durable import make_folder, write_bytes_atomically
from vlreward.generation.estimate import Estimate
from vlreward.progress import Progress

_ALL_DROPS = TypeAdapter(list[Drop])


class Curated(NamedTuple):
    """The rows that stay, an entry for each that went, and how many each step left.

    Entries come step by step, a step's sorted by content.
    """

    rows: Frame
    entries: list[Entry]
    left: dict[str, int]


def curate(rows: Frame, *, steps: Sequence[Step], bench: Bench, progress: Progress) -> Curated:
    """Runs the steps, each with a folder of its own in the bench's.

    What an earlier call with the same rows, steps and folder found is taken from there.
    """
    entries: list[Entry] = []
    kept: dict[str, int] = {}
    num_rows = rows.count_rows()
    for number, step in enumerate(steps, start=1):
        folder = bench.folder / f"{number:02d}-{step.name}"
        with progress.phase(step.name) as advance:
            drops = _drops(step, rows, bench=replace(bench, folder=folder, advance=advance))
        entries += _entries(drops, rows=rows, step=step.name)
        rows = _without(rows, drops)
        left = num_rows - len(drops)
        progress.say(f"{step.name}: {num_rows} rows, {len(drops)} dropped, {left} kept.")
        num_rows = kept[step.name] = left
    assert rows.count_rows() == num_rows, "a step dropped a row twice, or one that was not there"
    return Curated(rows=rows, entries=entries, left=kept)


def rehearse(
    rows: Frame, *, steps: Sequence[Step], bench: Bench, progress: Progress
) -> dict[str, Estimate]:
    """What the calls of each step will take, by its name; nothing is asked.

    Steps without calls are run, so that only rows count which get as far; what steps with calls
    will drop is not known and stays in.
    """
    expected = {}
    for number, step in enumerate(steps, start=1):
        own = replace(bench, folder=bench.folder / f"{number:02d}-{step.name}")
        if isinstance(step, PaidStep):
            found = step.estimate(rows, bench=own)
            expected[step.name] = found
            if found.num_calls:
                continue
        with progress.phase(step.name):
            rows = _without(rows, _drops(step, rows, bench=own))
    return expected


def _drops(step: Step, rows: Frame, *, bench: Bench) -> Sequence[Drop]:
    """What the step drops, done at most once."""
    done = bench.folder / "drops.json"
    if done.exists():
        return _ALL_DROPS.validate_json(done.read_bytes())
    make_folder(bench.folder)
    drops = list(step(rows, bench=bench))
    write_bytes_atomically(done, _ALL_DROPS.dump_json(drops))
    return drops


def _entries(drops: Sequence[Drop], *, rows: Frame, step: str) -> list[Entry]:
    frames = daft()
    dropped = frames.from_pydict({"row": [drop.row for drop in drops]})
    named = dropped.join(
        rows.select("row", "id", "source", "row_id", "place"), on="row"
    ).to_pylist()
    by_row = {row["row"]: row for row in named}
    entries = [
        Entry(
            step=step,
            reason=drop.reason,
            source=by_row[drop.row]["source"],
            place=by_row[drop.row]["place"],
            id=by_row[drop.row]["id"],
            row_id=by_row[drop.row]["row_id"],
            because=drop.because,
            detail=drop.detail,
        )
        for drop in drops
    ]
    return sorted(entries, key=lambda one: (one.id or "", one.source, one.place))


def _without(rows: Frame, drops: Sequence[Drop]) -> Frame:
    if not drops:
        return rows
    dropped = daft().from_pydict({"row": [drop.row for drop in drops]})
    return rows.join(dropped, on="row", how="anti")
