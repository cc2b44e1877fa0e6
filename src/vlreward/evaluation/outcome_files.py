"""Outcomes on disk: a log that loses no row, whatever ends the run, and the Parquet it becomes.

A log's folder holds `about.json` (what is evaluated), Parquet parts of finished rows, and
`tail.jsonl` with the rows since the last part; `outcomes.parquet` follows when all rows are there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from vlreward.durable import make_folder, write_json_atomically, written_atomically
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.examples import Example
from vlreward.evaluation.grading import strict
from vlreward.evaluation.outcomes import Outcome, Vote

OUTCOMES = "outcomes.parquet"
_ABOUT, _TAIL, _LOCK, _PARTS = "about.json", "tail.jsonl", "lock", "part-*.parquet"
_FIELDS = tuple(field.name for field in fields(Outcome))
_ADDED: Mapping[str, Any] = {"num_truncated": 0}
"""Fields that older outcomes lack, with what they are taken for there."""


class OutcomeLog:
    """`with OutcomeLog(folder, about=…) as log:` takes outcomes and survives a kill at any moment.

    `about` says what is evaluated by what; a folder is resumed only with the same. Raises
    ConfigError if the folder is another evaluation's, or another process writes to it, and
    DataError if what is there is damaged.
    """

    def __init__(
        self, folder: Path, *, about: Mapping[str, object], rows_a_part: int = 256
    ) -> None:
        self.folder = folder
        self._about = json.loads(json.dumps(about))
        self._rows_a_part = rows_a_part
        self._found: dict[str, Outcome] = {}
        self._since: list[Outcome] = []
        self._tail: IO[bytes] | None = None
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> OutcomeLog:
        make_folder(self.folder)
        try:
            self._take_lock()
            self._check_about()
            self._recover()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._write_part()
        self._close()

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """All outcomes so far by the id of their row."""
        return self._found

    def add(self, outcome: Outcome) -> None:
        """Takes an outcome; it is with the system when this returns, so a kill does not lose it."""
        assert self._tail is not None, "the log is open"
        self._tail.write(json.dumps(asdict(outcome)).encode() + b"\n")
        self._tail.flush()
        self._found[outcome.id] = outcome
        self._since.append(outcome)
        if len(self._since) >= self._rows_a_part:
            self._write_part()

    def remaining(
        self, examples: Sequence[Example], *, retries: Callable[[str], bool] = lambda _: True
    ) -> list[Example]:
        """The examples without an outcome yet, or with a failure that `retries` holds for.

        Raises DataError if an outcome belongs to an example that has changed since.
        """
        left = []
        for example in examples:
            outcome = self._found.get(example.id)
            if outcome is not None and outcome.fingerprint != example.fingerprint:
                raise self._changed(example)
            failure = None if outcome is None else outcome.failure
            if outcome is None or (failure is not None and retries(failure)):
                left.append(example)
        return left

    def finish(self, examples: Sequence[Example]) -> Path:
        """Writes the examples' outcomes, in their order, to `outcomes.parquet`."""
        path = self.folder / OUTCOMES
        write_outcomes((self._found[example.id] for example in examples), path)
        return path

    def _take_lock(self) -> None:
        self._lock = (self.folder / _LOCK).open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                "outcomes-busy",
                value="a folder that another process writes to",
                place=str(self.folder),
                expected="one writer at a time",
                mend="Wait for the other process, or choose another folder.",
            ) from error

    def _check_about(self) -> None:
        path = self.folder / _ABOUT
        if not path.exists():
            write_json_atomically(path, self._about)
            return
        found = _read_json(path)
        wrong = sorted(
            key for key in {*found, *self._about} if found.get(key) != self._about.get(key)
        )
        if wrong:
            raise ConfigError(
                "outcomes-of-another",
                value="; ".join(
                    f"{key} was {found.get(key)!r}, is {self._about.get(key)!r}" for key in wrong
                ),
                place=str(path),
                expected="the evaluation that this folder was begun with",
                mend="Choose another folder, or run what was run there.",
            )

    def _recover(self) -> None:
        """Reads the parts, then the tail, whose rows become a part; a torn last line is dropped."""
        for part in sorted(self.folder.glob(_PARTS)):
            self._found |= {outcome.id: outcome for outcome in read_outcomes(part)}
        path = self.folder / _TAIL
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        for number, line in enumerate(lines, start=1):
            outcome = _parse(line, place=f"{path}:{number}")
            self._found[outcome.id] = outcome
            self._since.append(outcome)
        self._tail = path.open("ab")
        self._write_part()

    def _write_part(self) -> None:
        """Moves what came since the last part into a new one, then empties the tail."""
        assert self._tail is not None
        if self._since:
            number = sum(1 for _ in self.folder.glob(_PARTS))
            write_outcomes(self._since, self.folder / f"part-{number:05d}.parquet")
        self._tail.truncate(0)
        os.fsync(self._tail.fileno())
        self._since = []

    def _close(self) -> None:
        for file in (self._tail, self._lock):
            if file is not None:
                file.close()
        self._tail = self._lock = None

    def _changed(self, example: Example) -> DataError:
        return DataError(
            "outcome-of-changed-row",
            value=f"an outcome of other content under the id {example.id!r}",
            place=str(self.folder),
            expected="the rows that the evaluation was begun with",
            mend="The data has changed: evaluate it into another folder.",
        )


def write_outcomes(outcomes: Iterable[Outcome], path: Path) -> None:
    """Writes outcomes as Parquet, whole or not at all.

    Beside the fields of `Outcome` stand `winner`, `tie`, `margin` and, where there are scores,
    `correct` by the strict rule, for people who look into the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_to_row(outcome) for outcome in outcomes]
    with written_atomically(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), file)


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes of a file that `write_outcomes` wrote; raises DataError if it is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return [_from_row(row) for row in rows]
    except (pa.ArrowException, OSError, KeyError, TypeError, AssertionError) as error:
        raise _damaged(str(path), str(error)) from error


def _to_row(outcome: Outcome) -> dict[str, object]:
    return {
        **asdict(outcome),
        "votes": [vote._asdict() for vote in outcome.votes],
        "winner": outcome.winner,
        "tie": outcome.is_tie,
        "margin": outcome.margin,
        "correct": strict(outcome) == 1 if outcome.scores else None,
    }


def _from_row(fields: Mapping[str, Any]) -> Outcome:
    row = {**_ADDED, **fields}
    votes = (
        Vote(**vote) if isinstance(vote, Mapping) else Vote(*vote) for vote in row["votes"] or ()
    )
    return Outcome(
        **{
            **{name: row[name] for name in _FIELDS},
            "right": tuple(row["right"]),
            "num_characters": tuple(row["num_characters"]),
            "scores": tuple(row["scores"] or ()),
            "votes": tuple(votes),
        }
    )


def _parse(line: bytes, *, place: str) -> Outcome:
    try:
        return _from_row(json.loads(line))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise _damaged(place, str(error)) from error


def _read_json(path: Path) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    raise _damaged(str(path), "not a JSON object")


def _schema() -> Any:
    import pyarrow as pa

    vote = pa.struct([("swapped", pa.bool_()), ("winner", pa.int32()), ("failure", pa.string())])
    texts = ("id", "fingerprint", "cluster", "group", "subset")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("right", pa.list_(pa.int32())),
            ("num_characters", pa.list_(pa.int32())),
            ("scores", pa.list_(pa.float64())),
            ("votes", pa.list_(vote)),
            ("failure", pa.string()),
            ("num_truncated", pa.int32()),
            ("seconds", pa.float64()),
            ("dollars", pa.float64()),
            ("winner", pa.int32()),
            ("tie", pa.bool_()),
            ("margin", pa.float64()),
            ("correct", pa.bool_()),
        ]
    )


def _damaged(place: str, found: str) -> DataError:
    return DataError(
        "outcomes-damaged",
        value=found,
        place=place,
        expected="outcomes as they were written",
        mend="Restore the file from a copy, or move it away and evaluate its rows again.",
    )
