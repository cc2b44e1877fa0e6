"""`vlreward show`: why a pair is in a curated set, or why it is not."""

from __future__ import annotations

from pathlib import Path

from vlreward.curation import ledger
from vlreward.curation.ledger import Entry
from vlreward.errors import DataError

_COLUMNS = ("id", "source", "row_id", "label_type", "confidence", "margin")


def show_pair(wanted: str, run: Path) -> str:
    """What a curation run did with a pair; raises DataError if it never met it.

    `wanted` is the pair's id, its row's id in its source, or its row's place.
    """
    folder = run / "set" if (run / "set").is_dir() else run
    path = folder / "ledger.parquet"
    if not path.exists():
        raise DataError(
            "ledger-missing",
            value=str(path),
            place=str(run),
            expected="the folder of a finished curation run",
            mend="Name the run's folder, or run `vlreward curate` to its end.",
        )
    entries = ledger.read(path)
    said = [_kept(row) for row in _rows(folder, _id_of(wanted, folder) or wanted)]
    said += [
        _dropped(entry) for entry in entries if wanted in (entry.id, entry.row_id, entry.place)
    ]
    said += [
        f"It stands for {entry.id} ({entry.place}), dropped by {entry.step} as {entry.reason}."
        for entry in entries
        if entry.because == wanted
    ]
    if not said:
        raise DataError(
            "pair-unknown",
            value=wanted,
            place=str(folder),
            expected="the id of a pair, or the id or place of a row, that the run read",
            mend="ledger.parquet and the set's files list them all.",
        )
    return "\n".join(said)


def _id_of(place: str, folder: Path) -> str | None:
    """The id of the pair that was read at a place, as far as the run's work folder is there."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    rows = folder.parent / "work" / "read" / "rows"
    if not rows.is_dir():
        return None
    read = ds.dataset(rows, format="parquet")
    found = read.to_table(columns=["id"], filter=pc.field("place") == place)["id"].to_pylist()
    return found[0] if found else None


def _rows(folder: Path, wanted: str) -> list[dict[str, object]]:
    """The set's rows with this id, or this id in their source."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    files = ds.dataset(folder / "data", format="parquet")
    wants = (pc.field("id") == wanted) | (pc.field("row_id") == wanted)
    rows: list[dict[str, object]] = files.to_table(columns=list(_COLUMNS), filter=wants).to_pylist()
    return rows


def _kept(row: dict[str, object]) -> str:
    judged = ", ".join(f"{name} {row[name]}" for name in _COLUMNS[3:] if row[name] is not None)
    return f"{row['id']} is in the set: from {row['source']}, row {row['row_id']}; {judged}."


def _dropped(entry: Entry) -> str:
    detail = f" ({entry.detail})" if entry.detail else ""
    because = f"; because of {entry.because}" if entry.because else ""
    return (
        f"{entry.id or 'A row'} of {entry.source}, {entry.place}, is not in the set: "
        f"{entry.step} dropped it as {entry.reason}{detail}{because}."
    )
