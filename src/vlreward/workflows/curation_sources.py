"""What a curation run reads: its sources, once, into its work folder."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vlreward import configuration
from vlreward.curation import ledger
from vlreward.curation.compare_reasoning import SOURCE as COMPARED
from vlreward.curation.compare_reasoning import CompareReasoning
from vlreward.curation.config import CurateConfig
from vlreward.curation.decontaminate import Decontaminate
from vlreward.curation.ledger import Entry
from vlreward.curation.mix import Mix
from vlreward.curation.working_set import ReadIn, read_in
from vlreward.durable import (
    AtomicFolder,
    verify_manifest,
    write_json_atomically,
    write_text_atomically,
)
from vlreward.errors import ConfigError, DataError
from vlreward.generation.config import HOW_ASKED
from vlreward.pictures import PictureStore
from vlreward.progress import Progress
from vlreward.records import PreferencePair
from vlreward.runs import refuse_other_config
from vlreward.sources.config import SourceConfig
from vlreward.sources.files import find_files
from vlreward.sources.read import read_preferences
from vlreward.sources.spec import describe_source
from vlreward.workflows.places import anchored

_REASONS_SHOWN = 5
_CHANGES_SHOWN = 3


def all_sources(config: CurateConfig) -> list[SourceConfig]:
    """What the run reads: its data, then the benchmarks of its steps."""
    steps = (step for step in config.steps if isinstance(step, Decontaminate))
    return [*config.data, *(one for step in steps for one in step.benchmarks)]


def refuse_doubles(sources: Sequence[SourceConfig]) -> None:
    """Raises ConfigError if rows would be read twice, as they would then vote twice.

    Files count by what they are, whatever path leads there; splits of a file, and splits, subsets
    and revisions of a data set on the hub, are sources of their own. Raises DataError if local data
    is not there.
    """
    earlier: dict[Hashable, list[tuple[str | None, str]]] = defaultdict(list)
    for source in sources:
        for part in _parts(source):
            for split, word in earlier[part.key]:
                if split == part.split or None in (split, part.split):
                    raise ConfigError(
                        "source-twice",
                        value=f"{word} and {describe_source(source)}",
                        place="data",
                        expected="each source once: a row that is read twice would vote twice",
                        mend=f"Both read {part.name}: leave one of them out, or name a split for "
                        "each.",
                    )
            earlier[part.key].append((part.split, describe_source(source)))


class _Part(NamedTuple):
    """A file, or a data set on the hub: what it is, which split is read, and how it is called."""

    key: Hashable
    split: str | None
    name: str


def _parts(source: SourceConfig) -> Iterator[_Part]:
    if source.is_hub:
        key = (source.path, source.subset, source.revision)
        yield _Part(key, source.split or "train", source.path)
        return
    for file in find_files(source.path):
        found = file.stat()
        yield _Part((found.st_dev, found.st_ino), source.split, str(file))


def refuse_moved_run(config: CurateConfig) -> None:
    """Raises ConfigError if the run in the folder was begun in another one.

    What its steps found names files by their places there.
    """
    path = Path(config.output) / "config.yaml"
    if not path.exists():
        return
    begun = str(configuration.load_plain(path).get("output"))
    if os.path.realpath(begun) != os.path.realpath(config.output):
        raise ConfigError(
            "run-moved",
            value=f"a run that was begun in {begun}",
            place=str(path),
            expected="a run that was begun in this folder: it names its files by their places",
            mend="Move it back there to go on, or choose a new output folder.",
        )


def refuse_other_run(config: CurateConfig, work: Path) -> None:
    """Raises ConfigError if what is in the work folder was made with another configuration.

    What was read lies under a manifest with the configuration it was read for, which also holds
    for the steps that worked on it: the run's own file may have been edited since.
    """
    folder = work / "read"
    if not folder.exists():
        return
    verify_manifest(folder, error=DataError)
    refuse_other_config(
        configuration.load_plain(folder / "config.yaml"),
        configuration.to_plain(anchored(config)),
        place=str(folder / "config.yaml"),
        free=HOW_ASKED,
    )


def read_sources(config: CurateConfig, work: Path, *, progress: Progress) -> ReadIn:
    """Reads the data into the folder `read` of `work`, or takes what an earlier start read.

    Raises DataError if a source cannot be read as a whole or changed since, or if none has a pair,
    and ConfigError if a step names a source that no row has.
    """
    folder, state = work / "read", _state(all_sources(anchored(config)))
    if folder.exists():
        found = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
        _refuse_changes(found["sources"], state)
        return ReadIn(num_read=found["num_read"], refused=ledger.read(folder / "refused.parquet"))
    if work.exists():  # steps that worked on other rows
        shutil.rmtree(work)
    store = PictureStore(work / "pictures")
    with AtomicFolder(folder) as temporary, progress.phase("Reading") as advance:

        def items(source: SourceConfig) -> Iterator[PreferencePair | DataError]:
            for item in read_preferences(source, store=store):
                advance()
                yield item

        read = read_in([(source.path, items(source)) for source in config.data], temporary / "rows")
        _say_read(read, progress=progress)
        if read.num_read == len(read.refused):
            raise _no_pairs(config, read)
        _refuse_unknown_caps(config, read, temporary / "rows")
        ledger.write(read.refused, temporary / "refused.parquet")
        write_text_atomically(temporary / "config.yaml", configuration.to_yaml(anchored(config)))
        write_json_atomically(
            temporary / "sources.json", {"sources": state, "num_read": read.num_read}
        )
    return read


def refuse_changed_since(config: CurateConfig, work: Path) -> None:
    """Raises DataError if sources changed after a run was finished; it does without those gone."""
    path = work / "read" / "sources.json"
    if not path.exists():
        return
    first: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))["sources"]
    now: dict[str, list[int]] = {}
    for source in all_sources(anchored(config)):
        with suppress(DataError):
            now |= _state([source])
    _refuse_changes({name: first[name] for name in first.keys() & now.keys()}, now)


def _say_read(read: ReadIn, *, progress: Progress) -> None:
    """How many rows are pairs, and the commonest reasons why others are none."""
    progress.say(f"Read {read.num_read} rows; {len(read.refused)} are no pairs.")
    first: dict[str, Entry] = {}
    for entry in read.refused:
        first.setdefault(entry.reason, entry)
    reasons = Counter(entry.reason for entry in read.refused).most_common()
    for reason, number in reasons[:_REASONS_SHOWN]:
        entry = first[reason]
        progress.say(f"  {number} {reason}, first {entry.place}: {entry.detail}")
    if len(reasons) > _REASONS_SHOWN:
        progress.say(f"  and {len(reasons) - _REASONS_SHOWN} reasons more")


def _no_pairs(config: CurateConfig, read: ReadIn) -> DataError:
    return DataError(
        "no-pairs",
        value=f"{read.num_read} rows, none of them a pair",
        place=", ".join(source.path for source in config.data),
        expected="at least one row that can be read as a pair",
        mend="The reasons stand above, each with its first row: mend the rows, or set the format.",
    )


def _refuse_unknown_caps(config: CurateConfig, read: ReadIn, rows: Path) -> None:
    """Raises ConfigError if a cap is for a source that no row has, or will have by a step."""
    import pyarrow.dataset as ds

    found = ds.dataset(rows, format="parquet").to_table(columns=["source"])["source"]
    known = {*found.unique().to_pylist(), *(entry.source for entry in read.refused)}
    if any(isinstance(step, CompareReasoning) for step in config.steps):
        known.add(COMPARED)
    for step in config.steps:
        if isinstance(step, Mix):
            step.refuse_unknown_sources(known)


def _refuse_changes(first: Mapping[str, Sequence[int]], now: Mapping[str, Sequence[int]]) -> None:
    """Raises DataError if files are not what they were when they were read."""
    changed = [
        *(f"{name} is no longer there" for name in first if name not in now),
        *(f"{name} is new" for name in now if name not in first),
        *(f"{name} has changed" for name in first if name in now and first[name] != now[name]),
    ]
    if not changed:
        return
    raise DataError(
        "sources-changed",
        value=f"{len(changed)} of {len(first.keys() | now.keys())} files differ",
        place="; ".join(changed[:_CHANGES_SHOWN]),
        expected="the sources as they were when the run began",
        mend="Choose a new output folder, or put them back as they were.",
    )


def _state(sources: Sequence[SourceConfig]) -> dict[str, list[int]]:
    """Size and time of every local file."""
    files = [file for source in sources if not source.is_hub for file in find_files(source.path)]
    return {str(file): [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
