"""What makes a benchmark: where its rows lie, how they are read, how its figures are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.evaluation.counts import Expected
from vlreward.evaluation.grading import Protocol as JudgeProtocol
from vlreward.evaluation.grading import by_majority
from vlreward.evaluation.reading import LoadedBenchmark, Part, ReadRow, read_published
from vlreward.pictures import PictureStore
from vlreward.sources.config import SourceConfig
from vlreward.sources.hub import LoadDataset


class Load(Protocol):
    """Reads a benchmark's examples as its configuration says."""

    def __call__(
        self,
        config: BenchmarkConfig,
        *,
        store: PictureStore | None = None,
        load_dataset: LoadDataset | None = None,
    ) -> LoadedBenchmark:
        """Raises DataError if the rows cannot be had, or are not the benchmark's."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """A benchmark; `arithmetic` may depend on whether prior sets were read, hence the call."""

    name: str
    title: str
    load: Load
    arithmetic: Callable[[BenchmarkConfig], Arithmetic]


def rows_in_one_place(
    read_row: ReadRow,
    *,
    title: str,
    home: SourceConfig | None = None,
    expected: Expected | None = None,
) -> Load:
    """What reads a benchmark of one source: the configured one, else its home.

    See `reading.read_published`. A benchmark without a home has a configured source.
    """

    def load(
        config: BenchmarkConfig,
        *,
        store: PictureStore | None = None,
        load_dataset: LoadDataset | None = None,
    ) -> LoadedBenchmark:
        source = config.source or home
        assert source is not None, "the configuration asks for a source"
        return read_published(
            [Part(source, read_row)],
            config=config,
            title=title,
            expected=expected,
            store=store,
            load_dataset=load_dataset,
        )

    return load


HALF = JudgeProtocol(
    name="half",
    about="the majority of the readable votes; a tie, or none that can be read, counts one half",
    grade=lambda outcomes: by_majority(outcomes, undecided=0.5),
)
WRONG = JudgeProtocol(
    name="wrong",
    about="the majority of the readable votes; a tie, or none that can be read, counts as wrong",
    grade=lambda outcomes: by_majority(outcomes, undecided=0.0),
)
