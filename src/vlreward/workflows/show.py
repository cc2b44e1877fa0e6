"""`vlreward show`: why a pair is in a curated set, or why it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlreward.curation import ledger
from vlreward.curation.ledger import Entry
from vlreward.errors import DataError

_COLUMNS = ("id", "source", "row_id", "label_type", "confidence", "margin")


def show_pair(wanted: str, run: Path) -> str:
    """What a curation run did with a pair; raises DataError if it never met it, or is damaged.

    `wanted` is the pair's id, its row's id in its source, or its row's place.
    """
    import pyarrow as pa

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
    try:
        said = _said(wanted, folder)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "folder-damaged",
            value=str(error).splitlines()[0],
            place=str(folder),
            expected="the set as it was written",
            mend="Bring the file back, or run `vlreward curate` again into another folder.",
        ) from error
    if not said:
        raise DataError(
            "pair-unknown",
            value=wanted,
            place=str(folder),
            expected="the id of a pair, or the id or place of a row, that the run read",
            mend="ledger.parquet and the set's files list them all.",
        )
    return "\n".join(said)


def _said(wanted: str, folder: Path) -> list[str]:
    import pyarrow.compute as pc

    entries = ledger.read(folder / "ledger.parquet")
    ids = {wanted, *_ids_of(wanted, folder), *_ids_read_at(wanted, folder.parent / "work")}
    ids |= {one.id for one in entries if one.id and wanted in (one.row_id, one.place)}
    kept = _rows(folder, pc.field("id").isin(sorted(ids)))
    kept_ids = {row["id"] for row in kept}
    dropped = [one for one in entries if one.id in ids or wanted in (one.row_id, one.place)]
    replaced = [one for one in entries if one.because in ids and one not in dropped]
    return [
        *map(_kept, kept),
        *(_copy(one) if one.id in kept_ids else _dropped(one) for one in dropped),
        *map(_replaced, replaced),
    ]


def _ids_of(row_id: str, folder: Path) -> set[str]:
    """The ids of the set's rows that have this id in their source."""
    import pyarrow.compute as pc

    return {str(row["id"]) for row in _rows(folder, pc.field("row_id") == row_id)}


def _ids_read_at(place: str, work: Path) -> set[str]:
    """The ids of the pairs of a place, as far as the run's work folder is there."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    files = [*work.glob("read/rows/*.parquet"), *work.glob("*/added/*.parquet")]
    if not files:
        return set()
    rows = ds.dataset([str(file) for file in files], format="parquet")
    return set(rows.to_table(columns=["id"], filter=pc.field("place") == place)["id"].to_pylist())


def _rows(folder: Path, wanted: Any) -> list[dict[str, object]]:
    """The set's rows that an Arrow expression holds for."""
    import pyarrow.dataset as ds

    files = ds.dataset(folder / "data", format="parquet")
    rows: list[dict[str, object]] = files.to_table(
        columns=list(_COLUMNS), filter=wanted
    ).to_pylist()
    return rows


def _kept(row: dict[str, object]) -> str:
    judged = ", ".join(f"{name} {row[name]}" for name in _COLUMNS[3:] if row[name] is not None)
    return f"{row['id']} is in the set: from {row['source']}, row {row['row_id']}; {judged}."


def _dropped(entry: Entry) -> str:
    named = f"{entry.id or 'A row'} of {entry.source}, {entry.place}"
    return f"{named}, is not in the set: {_why(entry)}."


def _copy(entry: Entry) -> str:
    return f"The copy in {entry.source}, {entry.place} was dropped: {_why(entry)}."


def _why(entry: Entry) -> str:
    detail = f" ({entry.detail})" if entry.detail else ""
    is_other = entry.because is not None and entry.because != entry.id
    because = f"; because of {entry.because}" if is_other else ""
    return f"{entry.step} dropped it as {entry.reason}{detail}{because}"


def _replaced(entry: Entry) -> str:
    return f"It stands for {entry.id} ({entry.place}), dropped by {entry.step} as {entry.reason}."
