"""Every reply on the disk before it is used, so that nothing is paid for twice.

A SQLite file in write-ahead mode: a reply's transaction is flushed to the disk before `record`
returns, and a kill or a power cut at any moment leaves all recorded replies and no half ones. One
process holds the file at a time; the system frees it when the process dies.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from vlreward.durable import make_folder
from vlreward.errors import ConfigError, DataError
from vlreward.generation.outcomes import Failure, Reason, Reply

_APPLICATION = 0x766C7277
_VERSION = 1
_SCHEMA = """
CREATE TABLE replies (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, asked_model TEXT NOT NULL,
    expected_input_tokens INTEGER NOT NULL,
    text TEXT NOT NULL, finish_reason TEXT NOT NULL, model TEXT NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, dollars REAL,
    attempts INTEGER NOT NULL, seconds REAL NOT NULL, time REAL NOT NULL, reasoning TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE failures (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, asked_model TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL,
    attempts INTEGER NOT NULL, dollars REAL, time REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE sends (number INTEGER PRIMARY KEY, key TEXT NOT NULL, dollars REAL NOT NULL);
"""
_REPLY = (
    "text, finish_reason, model, input_tokens, output_tokens, dollars, attempts, seconds, time, "
    "reasoning"
)
_FAILURE = "reason, detail, attempts, dollars, time"


class Money(NamedTuple):
    """Dollars that replies cost, and those that calls without a reply may have cost at most."""

    billed: float
    maybe_billed: float

    @property
    def total(self) -> float:
        """What a cap has to count."""
        return self.billed + self.maybe_billed


class Means(NamedTuple):
    """What replies to one kind of prompt were like; `input_ratio` is actual over expected."""

    num_replies: int
    output_tokens: float
    input_ratio: float
    seconds: float


class Asked(NamedTuple):
    """What the journal notes of a request beside its key."""

    key: str
    kind: str
    model: str
    expected_input_tokens: int


class ReplyJournal:
    """Replies and final failures by their request's key; use it as a context manager.

    Raises ConfigError if another process holds the file or a later vlreward wrote it, DataError if
    it is no journal or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path.parent)
        with self._explained():
            self._database = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            with self._explained():
                self._open()
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> ReplyJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the file."""
        self._database.close()

    def find(self, key: str) -> Reply | Failure | None:
        """What is known of a request."""
        row = self._one(f"SELECT {_REPLY} FROM replies WHERE key = ?", key)
        if row is not None:
            return Reply(**dict(zip(_REPLY.split(", "), row, strict=True)))  # type: ignore[arg-type]
        row = self._one(f"SELECT {_FAILURE} FROM failures WHERE key = ?", key)
        if row is not None:
            return Failure(**dict(zip(_FAILURE.split(", "), row, strict=True)))  # type: ignore[arg-type]
        return None

    def sending(self, key: str, *, dollars: float) -> int:
        """Notes that a call goes out that may cost this much; gives its number.

        Until `record` or `not_billed` settles it, it counts as money that may be gone, also after
        a kill. A power cut may lose the note.
        """
        cursor = self._noted("INSERT INTO sends (key, dollars) VALUES (?, ?)", key, dollars)
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def not_billed(self, send: int) -> None:
        """The call of this number surely cost nothing."""
        self._noted("DELETE FROM sends WHERE number = ?", send)

    def record(self, asked: Asked, result: Reply | Failure, *, send: int | None = None) -> None:
        """Writes what became of a request; when this returns, it is on the disk.

        It settles the call of number `send`. What was recorded before stays.
        """
        common = {"key": asked.key, "kind": asked.kind, "asked_model": asked.model}
        if isinstance(result, Reply):
            table, names = "replies", _REPLY.split(", ")
            common["expected_input_tokens"] = asked.expected_input_tokens  # type: ignore[assignment]
        else:
            assert result.reason != "budget", "what was not asked is no final failure"
            table, names = "failures", _FAILURE.split(", ")
        values = {**common, **{name: getattr(result, name) for name in names}}
        places = ", ".join(f":{name}" for name in values)
        with self._transaction():
            self._database.execute(
                f"INSERT OR IGNORE INTO {table} ({', '.join(values)}) VALUES ({places})", values
            )
            self._database.execute("DELETE FROM sends WHERE number = ?", (send,))

    def forget_failures(self, reasons: Collection[Reason]) -> int:
        """Lets requests that failed for these reasons be asked again; gives how many.

        What they cost stays counted.
        """
        chosen = "reason IN (SELECT value FROM json_each(?))"
        values = (json.dumps(list(reasons)),)
        with self._transaction():
            self._database.execute(
                "INSERT INTO sends (key, dollars) SELECT key, dollars FROM failures "
                f"WHERE {chosen} AND dollars > 0",
                values,
            )
            cursor = self._database.execute(f"DELETE FROM failures WHERE {chosen}", values)
        return cursor.rowcount

    def count(self) -> int:
        """How many requests have a reply or a final failure."""
        row = self._one("SELECT (SELECT count(*) FROM replies) + (SELECT count(*) FROM failures)")
        assert row is not None
        return int(row[0])  # type: ignore[call-overload,no-any-return]

    def money(self) -> Money:
        """What all calls cost until now, where their price was known."""
        row = self._one(
            "SELECT (SELECT total(dollars) FROM replies) + (SELECT total(dollars) FROM failures), "
            "(SELECT total(dollars) FROM sends)"
        )
        assert row is not None
        return Money(*map(float, row))  # type: ignore[arg-type]

    def means(self, *, kind: str, model: str) -> Means | None:
        """What the replies to one kind of prompt by one model were like; None without any."""
        row = self._one(
            "SELECT count(*), avg(output_tokens), "
            "total(input_tokens) / max(1, total(expected_input_tokens)), avg(seconds) FROM replies "
            "WHERE kind = ? AND asked_model = ? AND output_tokens NOTNULL AND input_tokens NOTNULL",
            kind,
            model,
        )
        assert row is not None
        return Means(*row) if row[0] else None  # type: ignore[arg-type]

    def _open(self) -> None:
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        application = self._pragma("application_id")
        if application not in (0, _APPLICATION) or (application == 0 and self._has_tables()):
            raise self._not_a_journal("a database of something else")
        version = self._pragma("user_version")
        if version > _VERSION:
            raise ConfigError(
                "journal-newer",
                value=f"version {version}",
                place=str(self.path),
                expected=f"a journal of version {_VERSION} or older",
                mend="Update vlreward, or start a new journal.",
            )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            if application == 0:
                for statement in _SCHEMA.strip().split(";\n"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def _noted(self, statement: str, *values: object) -> sqlite3.Cursor:
        """Executes a statement that a kill cannot undo but a power cut can, for speed."""
        with self._explained():
            self._database.execute("PRAGMA synchronous = NORMAL")
            try:
                return self._database.execute(statement, values)
            finally:
                self._database.execute("PRAGMA synchronous = FULL")

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def _has_tables(self) -> bool:
        return self._one("SELECT 1 FROM sqlite_master LIMIT 1") is not None

    def _one(self, query: str, *values: object) -> tuple[object, ...] | None:
        with self._explained():
            row: tuple[object, ...] | None = self._database.execute(query, values).fetchone()
        return row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what SQLite says into our errors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise ConfigError(
                    "journal-busy",
                    value="a journal that another process holds",
                    place=str(self.path),
                    expected="a journal that no other process works with",
                    mend="Wait for the other process, or choose another journal.",
                ) from error
            raise self._not_a_journal(str(error)) from error
        except sqlite3.DatabaseError as error:
            raise self._not_a_journal(str(error)) from error

    def _not_a_journal(self, found: str) -> DataError:
        return DataError(
            "journal-unusable",
            value=found,
            place=str(self.path),
            expected="a journal of replies, whole, in a place that can be written",
            mend="Check the path and the disk; restore the file from a copy, or start a new one.",
        )
