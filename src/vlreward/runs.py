"""A run's folder: the resolved configuration and the command, written first, then the events."""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, TypeVar

from vlreward import __version__, configuration
from vlreward.durable import (
    make_folder,
    write_bytes_atomically,
    write_json_atomically,
    write_text_atomically,
)
from vlreward.errors import ConfigError, DataError

Clock = Callable[[], float]
"""Seconds since 1970, as `time.time` gives them."""

Config = TypeVar("Config")

_CONFIG = "config.yaml"
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened in a run.

    `number` grows from 0 over all restarts, with gaps where a resumed run took events back;
    `time` is in seconds since 1970; `fields` are whatever belongs to the `kind`.
    """

    number: int
    time: float
    kind: str
    fields: Mapping[str, Any]


class RunFolder:
    """The folder of one run: `config.yaml`, `command.json`, `events.jsonl`; one writer at a time.

    Make one with `create` or `open`.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._next_number = 0

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        config: object,
        command: Sequence[str],
        clock: Clock,
        free: Container[str] = (),
    ) -> RunFolder:
        """Makes the folder and writes configuration and command, before anything else is done.

        A folder that exists is used again if its configuration is the same, which is how a run
        resumes; otherwise ConfigError names the keys that differ. Keys of the names in `free` may
        change between starts: the file has the latest values, an event what they were. `command` is
        the command line, program first; values of options that hold a secret by their name are
        masked.
        """
        run = cls(path, clock=clock)
        described = _describe(command, started=clock())
        run._resume_events()
        if run.config_path.exists():
            found = configuration.load_plain(run.config_path)
            wanted = configuration.to_plain(config)
            changes = refuse_other_config(found, wanted, place=str(run.config_path), free=free)
            if changes:
                run.append_event("config-changed", changes={one.key: one[1:] for one in changes})
                write_text_atomically(run.config_path, configuration.to_yaml(config))
        else:
            write_text_atomically(run.config_path, configuration.to_yaml(config))
        if not run.command_path.exists():
            write_json_atomically(run.command_path, described)
        return run

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> RunFolder:
        """The folder of an earlier run; raises ConfigError if there is none."""
        run = cls(path, clock=clock)
        if not run.config_path.exists():
            raise ConfigError(
                "run-missing",
                value=str(path),
                place=str(path),
                expected="the folder of a run, with its config.yaml",
                mend="Check the path, or start a run there.",
            )
        run._resume_events()
        return run

    def withdraw(self) -> None:
        """Takes back what was written of a run that could not begin, for it to be mended."""
        for path in (self.config_path, self.command_path, self.events_path):
            path.unlink(missing_ok=True)

    @property
    def config_path(self) -> Path:
        """Where the resolved configuration lies."""
        return self.path / _CONFIG

    @property
    def command_path(self) -> Path:
        """Where the first start's command, versions and time lie."""
        return self.path / "command.json"

    @property
    def events_path(self) -> Path:
        """Where the events lie, a JSON object a line."""
        return self.path / "events.jsonl"

    def load_config(self, config_type: type[Config]) -> Config:
        """The run's configuration."""
        return configuration.load(self.config_path, config_type)

    def append_event(self, kind: str, /, **fields: Any) -> None:
        """Adds an event with the clock's time; it survives a kill of the process from then on.

        Fields are JSON values and paths. NaN and infinity, which JSON does not know, are written
        as texts that `float` reads.
        """
        assert not fields.keys() & {"number", "time"}, "the run folder itself sets number and time"
        event = {"number": self._next_number, "time": self._clock(), "kind": kind} | fields
        line = json.dumps(_finite(event), allow_nan=False) + "\n"
        with self.events_path.open("ab") as file:
            file.write(line.encode("ascii"))
        self._next_number += 1

    def read_events(self) -> list[Event]:
        """All events in order; a last line that a kill left torn does not count.

        Raises DataError on any other line that is no event.
        """
        return self._read_events()

    def rewind_events(self, *, step: int) -> None:
        """Drops the events of a `step` field above the given one: a resumed run says them again."""
        lines = self._event_lines()
        kept = [
            line + b"\n"
            for line, place in lines
            if _event(line, place=place).fields.get("step", step) <= step
        ]
        if len(kept) < len(lines):
            write_bytes_atomically(self.events_path, b"".join(kept))

    def _resume_events(self) -> None:
        """Cuts a torn last line off, so that the next event begins a line, and goes on counting."""
        if not self.events_path.exists():
            return
        data = self.events_path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            os.truncate(self.events_path, len(whole))
        events = self._read_events()
        self._next_number = events[-1].number + 1 if events else 0

    def _read_events(self) -> list[Event]:
        return [_event(line, place=place) for line, place in self._event_lines()]

    def _event_lines(self) -> list[tuple[bytes, str]]:
        """The whole lines, and file and line number of each."""
        if not self.events_path.exists():
            return []
        *lines, _torn = self.events_path.read_bytes().split(b"\n")
        return [(line, f"{self.events_path}:{at}") for at, line in enumerate(lines, start=1)]


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Holds a run's folder for this process, and makes it where it is missing.

    The system lets go of it when the process ends, however it ends. Folders that were made here and
    in which nothing came to be are removed. Raises ConfigError if another process holds it, or it
    has other content.
    """
    made = [one for one in (path, *path.parents) if not one.exists()]
    make_folder(path)
    lock = path / _LOCK
    if not lock.exists() and not (path / _CONFIG).exists() and any(path.iterdir()):
        raise ConfigError(
            "folder-not-a-run",
            value="files of something else",
            place=str(path),
            expected="a new or empty folder, or that of an earlier run",
            mend="Choose another output folder.",
        )
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise ConfigError(
            "output-not-writable",
            value=error.strerror or str(error),
            place=str(path),
            expected="a run folder that can be written to",
            mend="Check the folder's rights and disk, or choose another output folder.",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                "run-busy",
                value=str(path),
                place=str(path),
                expected="a run folder that no other process works in",
                mend="Wait for the other process, or choose another folder.",
            ) from error
        try:
            yield
        finally:
            if [*path.iterdir()] == [lock]:
                lock.unlink()
                with suppress(OSError):  # not empty
                    for folder in made:
                        folder.rmdir()
    finally:
        os.close(descriptor)


def refuse_other_config(
    first: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    place: str,
    free: Container[str] = (),
) -> list[configuration.Difference]:
    """Raises ConfigError if a run's configuration is not the one that it was started with.

    Where they differ only in keys of the names in `free`, gives these differences. Two spellings of
    the run's own folder are none.
    """
    found = configuration.differences(first, wanted)
    changes = [one for one in found if not _spells_the_folder_otherwise(one)]
    found = [one for one in changes if one.key.rpartition(".")[2] not in free]
    if not found:
        return changes
    shown = "; ".join(f"{key} is {first!r}, not {second!r}" for key, first, second in found[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    raise ConfigError(
        "run-differs",
        value=f"{shown}{more}",
        place=place,
        expected="the configuration that this folder's run was started with",
        mend="Choose a new output folder, or set these keys as they were to resume the run.",
    )


def _spells_the_folder_otherwise(found: configuration.Difference) -> bool:
    key, first, second = found
    if key != "output" or not (isinstance(first, str) and isinstance(second, str)):
        return False
    return os.path.realpath(first) == os.path.realpath(second)


def _describe(command: Sequence[str], *, started: float) -> dict[str, Any]:
    named = ((one.metadata["Name"], one) for one in distributions())
    packages = {name: one.version for name, one in named if name}
    return {
        "command": _masked(command),
        "started": started,
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


_SECRET_OPTION = re.compile(r"--(?:.*[-_.])?(?:key|token|secret|password)(?:=.*)?", re.DOTALL)


def _masked(command: Sequence[str]) -> list[str]:
    masked: list[str] = []
    hides_next = False
    for word in command:
        option, has_value, _ = word.partition("=")
        is_secret = _SECRET_OPTION.fullmatch(word) is not None
        if hides_next and not word.startswith("--"):
            masked.append("***")
        else:
            masked.append(f"{option}=***" if is_secret and has_value else word)
        hides_next = is_secret and not has_value
    return masked


def _finite(value: Any) -> Any:
    """The value with paths, NaN and infinity as texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _event(line: bytes, *, place: str) -> Event:
    try:
        fields = json.loads(line)
        number, time, kind = (fields.pop(key) for key in ("number", "time", "kind"))
        return Event(number=int(number), time=float(time), kind=str(kind), fields=fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            "event-unreadable",
            value=line.decode("utf-8", errors="replace"),
            place=place,
            expected="an event: a JSON object with number, time and kind",
            mend="The file was changed by something else; remove the line.",
        ) from error
