"""What to evaluate on what: benchmarks, how much of them, and who is to be judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from vlreward.errors import ConfigError, require
from vlreward.evaluation.scorers.config import ScorerConfig
from vlreward.evaluation.scorers.spec import describe_scorer
from vlreward.sources.config import HUB_PREFIX, SourceConfig

BenchmarkName = Literal[
    "vl-rewardbench",
    "rewardbench",
    "multimodal-rewardbench",
    "mm-rlhf-rewardbench",
    "pairs",
    "candidates",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkConfig:
    """A benchmark, where its rows lie and how many to take.

    Raises ConfigError if the fields contradict each other.
    """

    name: BenchmarkName = "vl-rewardbench"
    """Which benchmark; pairs and candidates are a user's own files."""
    title: str = ""
    """What results call it; empty, its name, or that of the user's own file."""
    source: SourceConfig | None = None
    """Where its rows lie (default: its place on the hub)."""
    prior_sets: SourceConfig | None = None
    """RewardBench only: the older leaderboard's prior sets, a fifth section of half weight. A
    folder with a file for each, named after it, or hub:allenai/preference-test-sets."""
    limit: int | None = None
    """Take at most this many rows, of every subset its share, the same ones each time."""
    partial: bool = False
    """Go on where rows are missing, unknown or unreadable; the result says so."""
    protocol: str | None = None
    """How a judge's votes are counted (default: the benchmark's first way)."""

    def __post_init__(self) -> None:
        value = self.limit
        require(value is None or value >= 1, place="limit", value=value, expected="1 or more")
        if self.name in ("pairs", "candidates") and self.source is None:
            raise ConfigError(
                "benchmark-source-missing",
                value="no source",
                place="source",
                expected="the file, folder or data set that holds the rows",
                mend="Name it: a user's own benchmark has no place on the hub.",
            )
        if self.prior_sets is not None and self.name != "rewardbench":
            raise ConfigError(
                "benchmark-prior-sets",
                value=self.prior_sets.path,
                place="prior_sets",
                expected=f"nothing, as {self.name} has no prior sets",
                mend="Leave it out, or choose rewardbench.",
            )
        for place, source in (("source", self.source), ("prior_sets", self.prior_sets)):
            require(
                source is None or source.limit is None,
                place=f"{place}.limit",
                value=source and source.limit,
                expected="none; the benchmark's own limit takes rows of every subset",
            )

    @property
    def label(self) -> str:
        """What results call it: its title, its name, or that of the user's own file."""
        if self.title:
            return self.title
        if self.name not in ("pairs", "candidates"):
            return self.name
        assert self.source is not None, "the user's own benchmark has a source"
        stem = PurePath(self.source.path.removeprefix(HUB_PREFIX)).stem
        split = f"#{self.source.split}" if self.source.split else ""
        return f"{stem}{split}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedConfig:
    """A scorer or judge, and what it is evaluated on."""

    scorer: ScorerConfig
    """Who scores or judges."""
    benchmarks: tuple[str, ...] = ()
    """The labels of the benchmarks that it runs on: their names, or those of own files (default:
    all)."""

    @property
    def label(self) -> str:
        """What results call it."""
        return describe_scorer(self.scorer)

    def runs_on(self, benchmark: BenchmarkConfig) -> bool:
        """Whether it is evaluated on the benchmark."""
        return not self.benchmarks or benchmark.label in self.benchmarks


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """A run of evaluation.

    Raises ConfigError if two benchmarks, or two models on one of them, would have one label.
    """

    output: str
    """The run folder."""
    benchmarks: tuple[BenchmarkConfig, ...]
    """What to evaluate on."""
    models: tuple[EvaluatedConfig, ...]
    """Who is evaluated."""
    shuffled_pictures: bool = False
    """Evaluate on rows with other rows' pictures too, to see how much the pictures are used."""
    seed: int = 0
    """Of the intervals, and of whose pictures are shuffled to where."""
    num_resamples: int = 10_000
    """How often prompts are resampled for the intervals."""

    def __post_init__(self) -> None:
        for name in ("benchmarks", "models"):
            number = len(getattr(self, name))
            require(number >= 1, place=name, value=number, expected="one or more")
        number = self.num_resamples
        require(number >= 1, place="num_resamples", value=number, expected="1 or more")
        _refuse_doubles([one.label for one in self.benchmarks], place="benchmarks")
        for benchmark in self.benchmarks:
            labels = [one.label for one in self.models if one.runs_on(benchmark)]
            _refuse_doubles(labels, place="models")
        known = {one.label for one in self.benchmarks}
        for model in self.models:
            unknown = sorted(set(model.benchmarks) - known)
            expected = f"of {', '.join(sorted(known))}"
            require(not unknown, place="models.benchmarks", value=unknown, expected=expected)


def _refuse_doubles(labels: list[str], *, place: str) -> None:
    doubled = [label for label, number in Counter(labels).items() if number > 1]
    if doubled:
        raise ConfigError(
            "label-doubled",
            value=doubled[0],
            place=place,
            expected="each once",
            mend="Leave one out; or call it otherwise in a configuration file (`name` of a scorer, "
            "`title` of a benchmark).",
        )
