"""Steps one after the other: each sees what those before it left, and says what goes or comes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from vlreward.curation.calls import AskedModel
from vlreward.curation.frames import Frame, daft
from vlreward.curation.ledger import Entry
from vlreward.curation.steps import Bench, Drop, Exhibit, Outcome, PaidStep, Step
from vlreward.curation.working_set import read_in, rows_of
from vlreward.durable import AtomicFolder, make_folder, write_bytes_atomically
from vlreward.errors import DataError, Waiting
from vlreward.generation.estimate import Estimate
from vlreward.progress import Progress


class Passed(NamedTuple):
    """How many rows a step dropped, added and left."""

    num_dropped: int
    num_added: int
    num_left: int


class Curated(NamedTuple):
    """The rows that stay, an entry for each that went, and what each step did.

    Entries come step by step, a step's sorted by content. `all_rows` are those that were read or
    added, whatever became of them.
    """

    rows: Frame
    all_rows: Frame
    entries: list[Entry]
    passed: Mapping[str, Passed]
    exhibits: list[Exhibit]


def curate(rows: Frame, *, steps: Sequence[Step], bench: Bench, progress: Progress) -> Curated:
    """Runs the steps, each with a folder of its own in the bench's.

    What an earlier call with the same rows, steps and folder found is taken from there.
    """
    entries: list[Entry] = []
    exhibits: list[Exhibit] = []
    passed: dict[str, Passed] = {}
    all_rows, num_rows = rows, rows.count_rows()
    for number, step in enumerate(steps, start=1):
        folder = _folder_of(step, number, folder=bench.folder)
        with progress.phase(step.name) as advance:
            found = _found(step, rows, bench=replace(bench, folder=folder, advance=advance))
        entries += _entries(found.drops, rows=rows, step=step.name)
        exhibits += found.exhibits
        rows, all_rows = found.change(rows), found.extend(all_rows)
        left = num_rows - len(found.drops) + found.num_added
        passed[step.name] = Passed(len(found.drops), found.num_added, left)
        added = f", {found.num_added} added" if found.num_added else ""
        progress.say(
            f"{step.name}: {num_rows} rows, {len(found.drops)} dropped{added}, {left} kept."
        )
        num_rows = left
    assert rows.count_rows() == num_rows, "a step dropped a row twice, or one that was not there"
    return Curated(rows=rows, all_rows=all_rows, entries=entries, passed=passed, exhibits=exhibits)


def rehearse(
    rows: Frame, *, steps: Sequence[Step], bench: Bench, progress: Progress
) -> dict[str, Estimate]:
    """What the calls of each step will take, by its name; nothing is asked.

    Steps without calls are run, so that only rows count which get as far; what steps with calls
    will drop or add is not known, nor what people will decide: all rows are taken to stay.
    """
    expected = {}
    make_folder(bench.folder)
    with TemporaryDirectory(dir=bench.folder, prefix=".rehearsed-") as supposed:
        for number, step in enumerate(steps, start=1):
            own = replace(bench, folder=_folder_of(step, number, folder=bench.folder))
            if isinstance(step, PaidStep):
                is_done = (own.folder / _FOUND).exists()
                estimated = Estimate() if is_done else step.estimate(rows, bench=own)
                expected[step.name] = estimated
                if estimated.num_calls:
                    # What later steps find holds for rows that may go, not for the run.
                    bench = replace(bench, folder=Path(supposed), annotation=None)
                    continue
            with progress.phase(step.name), suppress(Waiting):
                rows = _found(step, rows, bench=own).change(rows)
    return expected


def models_left(steps: Sequence[Step], *, folder: Path) -> list[AskedModel]:
    """The models of the steps of which no earlier call in this folder found the outcome."""
    return [
        model
        for step, own in _paid_steps(steps, folder=folder)
        if not (own / _FOUND).exists()
        for model in step.models
    ]


def models_to_come(steps: Sequence[Step], *, folder: Path) -> list[AskedModel]:
    """The models of the steps that no earlier call in this folder began.

    One that did may have left all replies, and people decide about them for days.
    """
    return [
        model
        for step, own in _paid_steps(steps, folder=folder)
        if not own.exists()
        for model in step.models
    ]


def _paid_steps(steps: Sequence[Step], *, folder: Path) -> Iterator[tuple[PaidStep, Path]]:
    """The steps that may call endpoints, and the folder of each."""
    for number, step in enumerate(steps, start=1):
        if isinstance(step, PaidStep):
            yield step, _folder_of(step, number, folder=folder)


def _folder_of(step: Step, number: int, *, folder: Path) -> Path:
    return folder / f"{number:02d}-{step.name}"


_FOUND = "found.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """A step's outcome at rest; its new pairs are a table in `added`."""

    drops: Sequence[Drop]
    exhibits: Sequence[Exhibit]
    num_added: int
    added: Path

    def change(self, rows: Frame) -> Frame:
        """The rows without those dropped and with those added."""
        if self.drops:
            dropped = daft().from_pydict({"row": [drop.row for drop in self.drops]})
            rows = rows.join(dropped, on="row", how="anti")
        return self.extend(rows)

    def extend(self, rows: Frame) -> Frame:
        """The rows with those added."""
        return rows.concat(rows_of(self.added)) if self.num_added else rows


_NOTE = TypeAdapter(_Found)


def _found(step: Step, rows: Frame, *, bench: Bench) -> _Found:
    """What the step finds, looked for at most once."""
    done = bench.folder / _FOUND
    if done.exists():
        return _read_note(done)
    make_folder(bench.folder)
    outcome = step(rows, bench=bench)
    found = _Found(
        drops=list(outcome.drops),
        exhibits=list(outcome.exhibits),
        num_added=len(outcome.added),
        added=bench.folder / "added",
    )
    if found.added.exists():  # a kill came before it was noted
        shutil.rmtree(found.added)
    if outcome.added:
        _write_added(outcome, rows, folder=found.added, step=step.name)
    write_bytes_atomically(done, _NOTE.dump_json(found))
    return found


def _read_note(path: Path) -> _Found:
    try:
        return _NOTE.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(
            "folder-damaged",
            value=first["msg"],
            place=str(path),
            expected="what the step found, as it was written",
            mend="Remove this file: the step is done anew, with the replies that are known.",
        ) from error


def _write_added(outcome: Outcome, rows: Frame, *, folder: Path, step: str) -> None:
    """The table of a step's new pairs, their rows numbered after the highest one that is left."""
    highest = rows.select("row").max("row").to_pydict()["row"][0]
    first_row = 0 if highest is None else highest + 1
    with AtomicFolder(folder) as temporary:
        read = read_in([(step, outcome.added)], temporary, first_row=first_row)
        assert not read.refused, f"{step} made a pair that cannot be written: {read.refused[0]}"


def _entries(drops: Sequence[Drop], *, rows: Frame, step: str) -> list[Entry]:
    frames = daft()
    dropped = frames.from_pydict({"row": [drop.row for drop in drops]})
    named = dropped.join(
        rows.select("row", "id", "source", "row_id", "place"), on="row"
    ).to_pylist()
    by_row: dict[int, dict[str, Any]] = {row["row"]: row for row in named}
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
