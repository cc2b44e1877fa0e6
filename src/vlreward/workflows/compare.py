"""`vlreward eval --compare`: is one model better than another on the same rows, and by how much?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from vlreward.durable import write_json_atomically, write_text_atomically
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.accuracy import measure
from vlreward.evaluation.benchmarks.catalogue import BENCHMARKS
from vlreward.evaluation.config import BenchmarkConfig, EvaluateConfig, EvaluatedConfig
from vlreward.evaluation.outcome_files import OUTCOMES, read_outcomes
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.results import plain
from vlreward.evaluation.statistics.paired import Comparison, Difference, compare
from vlreward.extras import import_extra
from vlreward.runs import RunFolder
from vlreward.workflows.evaluation_plots import plot_differences
from vlreward.workflows.measurements import outcomes_folder
from vlreward.workflows.pages import escape, image, page, table


class Contestant(NamedTuple):
    """A model of a run, and what a comparison calls it."""

    name: str
    run: EvaluateConfig
    model: EvaluatedConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two models on one benchmark; `figures` are those of the first and of the second."""

    benchmark: BenchmarkConfig
    first: str
    second: str
    figures: tuple[dict[str, float | None], dict[str, float | None]]
    found: Comparison

    @property
    def title(self) -> str:
        """What tables call it."""
        return f"{self.benchmark.label}: {self.first} less {self.second}"

    @property
    def rows(self) -> Iterator[tuple[str, float, float, Difference]]:
        """Of every figure its name, both values and their difference."""
        for name, difference in self.found.differences.items():
            first, second = (values[name] for values in self.figures)
            assert first is not None and second is not None, "only known figures are compared"
            yield name, first, second, difference

    @property
    def sentence(self) -> str:
        """McNemar's test and the agreement in words."""
        test, agreement = self.found.mcnemar, self.found.agreement
        if agreement is None:
            return f"{self.found.num_rows} rows, none of which has a result in both."
        without = self.found.num_rows - agreement.num_all
        left_out = f" {without} rows have no result in one of them." if without else ""
        if not self.found.differences:
            left_out += " No figure is known of both."
        return (
            f"{self.found.num_rows} rows; only the first is better on {test.num_first_better}, "
            f"only the second on {test.num_second_better}: McNemar's exact p = "
            f"{test.p_value:.3g}. Both name the same winner, or none, on {agreement}.{left_out}"
        )

    def as_fields(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "benchmark": self.benchmark.label,
            "first": {"model": self.first, "figures": self.figures[0]},
            "second": {"model": self.second, "figures": self.figures[1]},
            **plain(self.found),
        }


def compare_runs(runs: Sequence[Path], *, output: Path | None, seed: int = 0) -> list[Compared]:
    """Compares every model of the first run with every one of the second, on each benchmark.

    Of one run, its models with each other. Writes compare.json and compare.html into `output` where
    it is given, and prints a table for each. Raises ConfigError if a run is not there or not
    finished, or they have no benchmark or no protocol in common, and DataError if their rows
    differ.
    """
    import_extra("scipy.stats", extra="eval")
    configs = [_config_of(path) for path in runs]
    shared = _shared_benchmarks(configs)
    found = [
        _compare(first, second, benchmark, seed=seed)
        for benchmark in shared
        for first, second in _pairs(configs, benchmark)
    ]
    left_out = _left_out(configs, shared)
    if output is not None:
        write_json_atomically(output / "compare.json", [one.as_fields() for one in found])
        write_text_atomically(output / "compare.html", _page(found, left_out=left_out))
    console = Console()
    for one in found:
        console.print(_table(one))
    if left_out:
        print(left_out)
    return found


def _config_of(path: Path) -> EvaluateConfig:
    """A run's configuration, with the place where it lies now."""
    config = RunFolder.open(path, clock=time.time).load_config(EvaluateConfig)
    return replace(config, output=str(path))


def _shared_benchmarks(configs: Sequence[EvaluateConfig]) -> list[BenchmarkConfig]:
    """What all runs have; raises ConfigError if that is nothing, or counted in different ways."""
    labels = [{one.label: one for one in config.benchmarks} for config in configs]
    shared = [one for one in configs[0].benchmarks if all(one.label in each for each in labels)]
    if not shared:
        raise ConfigError(
            "comparison-of-other-benchmarks",
            value=" and ".join(", ".join(one) for one in labels),
            place=" and ".join(config.output for config in configs),
            expected="runs with a benchmark in common",
            mend="Evaluate both on the same benchmark.",
        )
    for one in shared:
        for each in labels:
            other = each[one.label]
            ways = [(a.name, a.protocol, a.prior_sets is None) for a in (one, other)]
            if ways[0] != ways[1]:
                raise ConfigError(
                    "comparison-of-other-protocols",
                    value=f"{one.protocol or 'the first protocol'} and "
                    f"{other.protocol or 'the first protocol'}",
                    place=one.label,
                    expected="one benchmark, counted in one way",
                    mend="Evaluate both with the same --protocol.",
                )
    return shared


def _left_out(configs: Sequence[EvaluateConfig], shared: Sequence[BenchmarkConfig]) -> str:
    """A sentence about the benchmarks that only some of the runs have; empty without any."""
    names = dict.fromkeys(one.label for config in configs for one in config.benchmarks)
    missing = [name for name in names if name not in {one.label for one in shared}]
    return f"Not in every run, and not compared: {', '.join(missing)}." if missing else ""


def _pairs(
    configs: Sequence[EvaluateConfig], benchmark: BenchmarkConfig
) -> list[tuple[Contestant, Contestant]]:
    several = len(configs) > 1
    runs = [
        [
            Contestant(f"{one.label} ({config.output})" if several else one.label, config, one)
            for one in config.models
            if any(one.runs_on(own) for own in config.benchmarks if own.label == benchmark.label)
        ]
        for config in configs
    ]
    found = list(product(*runs) if several else combinations(runs[0], 2))
    if not found:
        raise ConfigError(
            "comparison-of-one",
            value=f"{sum(map(len, runs))} models on {benchmark.label}",
            place=" and ".join(config.output for config in configs),
            expected="two models",
            mend="Give two runs, or one with several models.",
        )
    return found  # type: ignore[return-value]


def _compare(
    first: Contestant, second: Contestant, benchmark: BenchmarkConfig, *, seed: int
) -> Compared:
    ones, others = _outcomes(first, benchmark), _outcomes(second, benchmark)
    _refuse_other_rows(ones, others, place=f"{first.name} and {second.name} on {benchmark.label}")
    arithmetic = BENCHMARKS[benchmark.name].arithmetic(benchmark)
    one, other = (
        dict(measure(rows, arithmetic=arithmetic, protocol=benchmark.protocol).figures)
        for rows in (ones, others)
    )
    return Compared(
        benchmark=benchmark,
        first=first.name,
        second=second.name,
        figures=(one, other),
        found=compare(ones, others, arithmetic=arithmetic, protocol=benchmark.protocol, seed=seed),
    )


def _outcomes(one: Contestant, benchmark: BenchmarkConfig) -> list[Outcome]:
    own = next(own for own in one.run.benchmarks if own.label == benchmark.label)
    path = outcomes_folder(one.run, one.model, own) / OUTCOMES
    if not path.exists():
        raise ConfigError(
            "run-unfinished",
            value=f"no {OUTCOMES}",
            place=str(path.parent),
            expected="a run of vlreward eval that was finished",
            mend="Run it again, to the end.",
        )
    return read_outcomes(path)


def _refuse_other_rows(ones: Sequence[Outcome], others: Sequence[Outcome], *, place: str) -> None:
    """Raises DataError unless both have the same rows."""
    rows = [{one.id: one.fingerprint for one in outcomes} for outcomes in (ones, others)]
    if rows[0] == rows[1]:
        return
    num_shared = len(rows[0].items() & rows[1].items())
    raise DataError(
        "comparison-of-other-rows",
        value=f"{len(ones)} and {len(others)} rows, of which {num_shared} are the same",
        place=place,
        expected="the same rows in both",
        mend="Evaluate both on the same copy of the benchmark, with the same limit.",
    )


def _table(one: Compared) -> Table:
    shown = Table(
        title=escape_markup(one.title),
        caption=escape_markup(one.sentence),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("figure", "first", "second", "difference [95 %]", "p"):
        shown.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, first, second, found in one.rows:
        values = (f"{100 * first:.1f}", f"{100 * second:.1f}")
        said = escape_markup(_said(found))
        shown.add_row(escape_markup(name), *values, said, f"{found.p_value:.3g}")
    return shown


def _said(found: Difference) -> str:
    """The difference in points of per cent."""
    interval = found.interval
    bounds = f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]" if interval else ""
    return f"{100 * found.value:+.1f}{bounds}"


def _page(compared: Sequence[Compared], *, left_out: str) -> str:
    sections = ["<h1>Comparison on the same rows</h1>"]
    for one in compared:
        rows = (
            [
                escape(name),
                f"{100 * first:.1f}",
                f"{100 * second:.1f}",
                _said(found),
                f"{found.p_value:.3g}",
            ]
            for name, first, second, found in one.rows
        )
        sections += [f"<h2>{escape(one.title)}</h2>", f"<p>{escape(one.sentence)}</p>"]
        if one.found.differences:
            sections.append(table(["figure", "first", "second", "difference [95 %]", "p"], rows))
            plot = image(plot_differences(one.found.differences), "Differences with intervals")
            sections.append(f'<div class="plots">{plot}</div>')
    if left_out:
        sections.append(f"<p>{escape(left_out)}</p>")
    sections.append(
        '<p class="note">In per cent; intervals of differences are bootstrapped, prompts resampled '
        "together in both; p is how often exchanging the two on prompts at random makes a "
        "difference as great.</p>"
    )
    return page("Comparison", sections)
