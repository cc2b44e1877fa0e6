"""What a run of evaluation has measured, and where each part of it lies in the run's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rich.table import Table

from vlreward.evaluation.benchmarks.catalogue import BENCHMARKS
from vlreward.evaluation.config import BenchmarkConfig, EvaluateConfig, EvaluatedConfig
from vlreward.evaluation.examples import Example
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.published import PUBLISHED, PublishedTable
from vlreward.evaluation.reading import LoadedBenchmark
from vlreward.evaluation.results import Result
from vlreward.evaluation.scorers.lineup import row_of
from vlreward.evaluation.tables import MeasuredRow, results_table
from vlreward.generation.journal import Money

ROWS = "rows"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A benchmark with its rows, and where pictures were shuffled, those rows too."""

    config: BenchmarkConfig
    rows: LoadedBenchmark
    shuffled: tuple[Example, ...] = ()

    @property
    def title(self) -> str:
        """What pages call it."""
        own = self.config.name in ("pairs", "candidates")
        return self.config.label if own else BENCHMARKS[self.config.name].title

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as published, in words."""
        if self.config.limit is None:
            return self.rows.notes
        return (f"{len(self.rows.examples)} of {self.rows.num_rows} rows taken", *self.rows.notes)

    @property
    def published(self) -> PublishedTable | None:
        """The published table that its figures are comparable with."""
        return None if self.config.prior_sets else PUBLISHED.get(self.config.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One model on one benchmark: who, on what, each row's outcome, and what these add up to."""

    model: EvaluatedConfig
    benchmark: Loaded
    outcomes: tuple[Outcome, ...]
    result: Result
    folder: Path
    weights: Mapping[str, str]

    @property
    def row(self) -> MeasuredRow:
        """Its row in a table."""
        found = row_of(self.model.scorer)
        published = self.benchmark.published
        quoted = {one.word: one for one in published.rows} if published else {}
        word = found.word if found is not None and found.word in quoted else None
        return MeasuredRow(
            model=self.model.label,
            accuracy=self.result.accuracy,
            intervals=self.result.intervals,
            size=quoted[word].size if word else "–",
            notes=tuple(self._on_pictures()),
            word=word,
        )

    def _on_pictures(self) -> Iterator[str]:
        """What shuffled pictures change the main figure by, in points."""
        main = self.result.accuracy.main
        found = self.result.pictures.differences.get(main) if self.result.pictures else None
        if found is not None:
            bounds = found.interval
            said = f" [{-100 * bounds.high:+.1f}, {-100 * bounds.low:+.1f}]" if bounds else ""
            yield f"{main} {-100 * found.value:+.1f}{said} with pictures shuffled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A finished run. `money` is what each model's calls cost, of those behind an API."""

    config: EvaluateConfig
    benchmarks: tuple[Loaded, ...]
    measurements: tuple[Measurement, ...]
    money: Mapping[str, Money]

    def shortfalls(self) -> Iterator[str]:
        """What keeps the figures from resting on all rows and replies, in sentences."""
        for benchmark in self.benchmarks:
            config, refused = benchmark.config, benchmark.rows.refused
            if config.source is not None and refused and not config.partial:
                yield f"{config.label}: {_rows(len(refused))} could not be read, first {refused[0]}"
        for one in self.measurements:
            tally, about = one.result.accuracy.tally, f"{one.model.label} on {one.benchmark.title}"
            if tally.num_failed:
                reasons = ", ".join(f"{why}: {n}" for why, n in one.result.failures.items())
                yield f"{about}: {_rows(tally.num_failed)} without a result ({reasons})"
            if tally.num_votes and tally.num_unparsed == tally.num_votes:
                yield f"{about}: none of {tally.num_votes} replies could be read"

    def of(self, benchmark: Loaded) -> list[Measurement]:
        """The measurements on a benchmark."""
        return [one for one in self.measurements if one.benchmark is benchmark]

    def tables(self) -> Iterator[Table]:
        """A table for every benchmark, as the paper lays them out."""
        for benchmark in self.benchmarks:
            rows = [one.row for one in self.of(benchmark)]
            yield results_table(
                rows,
                title=benchmark.title,
                published=benchmark.published,
                notes=benchmark.notes,
            )


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def model_folder(config: EvaluateConfig, label: str) -> Path:
    """Where the replies, and by benchmark the outcomes, of a model lie."""
    return Path(config.output) / ROWS / slug(label, [one.label for one in config.models])


def outcomes_folder(
    config: EvaluateConfig, model: EvaluatedConfig, benchmark: BenchmarkConfig
) -> Path:
    """Where a model's outcomes on a benchmark lie."""
    name = slug(benchmark.label, [one.label for one in config.benchmarks])
    return model_folder(config, model.label) / name


def slug(label: str, labels: Sequence[str]) -> str:
    """A file name for one of several labels, another one for each, on any file system."""

    def plain(text: str) -> str:
        return re.sub(r"[^\w.-]+", "-", text).strip("-.")[-100:] or "model"

    taken: set[str] = set()
    for one in dict.fromkeys(labels):
        names = (plain(one) if n == 1 else f"{plain(one)}-{n}" for n in count(1))
        found = next(name for name in names if name.casefold() not in taken)
        if one == label:
            return found
        taken.add(found.casefold())
    raise AssertionError("one of the labels")
