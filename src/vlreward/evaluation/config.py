"""Which benchmark to run, and on how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vlreward.errors import ConfigError, require
from vlreward.sources.config import SourceConfig

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
    source: SourceConfig | None = None
    """Where its rows lie (default: its place on the hub)."""
    prior_sets: SourceConfig | None = None
    """RewardBench only: the older leaderboard's prior sets, a fifth section of half weight. A
    folder with a file for each, named after it, or hub:allenai/preference-test-sets."""
    limit: int | None = None
    """Take at most this many rows, of every subset its share, the same ones each time."""
    partial: bool = False
    """Go on where rows are missing, unknown or unreadable; the result says so."""

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
