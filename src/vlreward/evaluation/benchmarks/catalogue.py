"""All benchmarks by name."""

from __future__ import annotations

from collections.abc import Mapping

from vlreward.errors import DataError
from vlreward.evaluation.benchmarks import candidates
from vlreward.evaluation.benchmarks.candidates import CANDIDATES
from vlreward.evaluation.benchmarks.definition import Benchmark
from vlreward.evaluation.benchmarks.mm_rlhf_rewardbench import MM_RLHF_REWARDBENCH
from vlreward.evaluation.benchmarks.multimodal_rewardbench import MULTIMODAL_REWARDBENCH
from vlreward.evaluation.benchmarks.pairs import PAIRS
from vlreward.evaluation.benchmarks.rewardbench import REWARDBENCH
from vlreward.evaluation.benchmarks.vl_rewardbench import VL_REWARDBENCH
from vlreward.evaluation.config import BenchmarkConfig, BenchmarkName
from vlreward.evaluation.reading import LoadedBenchmark
from vlreward.pictures import PictureStore
from vlreward.sources.config import SourceConfig
from vlreward.sources.hub import LoadDataset
from vlreward.sources.read import open_rows

BENCHMARKS: Mapping[str, Benchmark] = {
    one.name: one
    for one in (
        VL_REWARDBENCH,
        REWARDBENCH,
        MULTIMODAL_REWARDBENCH,
        MM_RLHF_REWARDBENCH,
        PAIRS,
        CANDIDATES,
    )
}


def benchmark_of(source: SourceConfig) -> BenchmarkName:
    """Which benchmark a user's own rows are, told from the first: `candidates`, else `pairs`.

    Raises DataError if there is nothing to read.
    """
    for raw in open_rows(source):
        if not isinstance(raw.row, DataError):
            return "candidates" if candidates.fits(raw.row) else "pairs"
    return "pairs"


def load_benchmark(
    config: BenchmarkConfig,
    *,
    store: PictureStore | None = None,
    load_dataset: LoadDataset | None = None,
) -> LoadedBenchmark:
    """The examples that the configuration asks for; raises DataError if they cannot be had."""
    benchmark = BENCHMARKS[config.name]
    return benchmark.load(config, store=store, load_dataset=load_dataset)
