"""What a run of evaluation has measured, and where each part of it lies in the run's folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
        if self.config.limit is None or self.config.limit >= self.rows.num_rows:
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
        """What the main figure gains by the right pictures, over shuffled ones."""
        main, pictures = self.result.accuracy.main, self.result.pictures
        found = None if pictures is None else pictures.differences.get(main)
        if pictures is not None and found is not None:
            bounds = found.interval
            said = f" [{_points(bounds.low)}, {_points(bounds.high)}]" if bounds else ""
            rows = num_rows(pictures.num_rows)
            yield f"{main} {_points(found.value)}{said} points over shuffled pictures on {rows}"


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
                unread = num_rows(len(refused))
                yield f"{config.label}: {unread} could not be read, first {refused[0]}"
        for one in self.measurements:
            tally, about = one.result.accuracy.tally, f"{one.model.label} on {one.benchmark.title}"
            if tally.num_failed:
                reasons = ", ".join(f"{why}: {n}" for why, n in one.result.failures.items())
                yield f"{about}: {num_rows(tally.num_failed)} without a result ({reasons})"
            if tally.num_votes and tally.num_unparsed == tally.num_votes:
                yield f"{about}: none of {tally.num_votes} replies could be read"
            elif tally.num_left_out and tally.num_left_out + tally.num_failed == tally.num_rows:
                yield f"{about}: no row has a verdict that counts"

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


def num_rows(number: int) -> str:
    """`1 row`, `2 rows`."""
    return "1 row" if number == 1 else f"{number} rows"


def model_folder(config: EvaluateConfig, label: str) -> Path:
    """Where the replies, and by benchmark the outcomes, of a model lie."""
    return Path(config.output) / ROWS / file_names(one.label for one in config.models)[label]


def outcomes_folder(
    config: EvaluateConfig, model: EvaluatedConfig, benchmark: BenchmarkConfig
) -> Path:
    """Where a model's outcomes on a benchmark lie."""
    name = file_names(one.label for one in config.benchmarks)[benchmark.label]
    return model_folder(config, model.label) / name


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """A short file name for each label, another one for each where case does not count, too."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        if label in found:
            continue
        plain = re.sub(r"[^\w.-]+", "-", label).strip("-.").encode()[-100:].decode(errors="ignore")
        names = (f"{plain or 'model'}-{n}" if n > 1 else plain or "model" for n in count(1))
        found[label] = next(name for name in names if name.casefold() not in taken)
        taken.add(found[label].casefold())
    return found


def _points(difference: float) -> str:
    """A difference of two shares in per cent, with its sign; zero has a plus."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"
