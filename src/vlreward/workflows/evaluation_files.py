"""The results of an evaluation as JSON: all figures, what they rest on, and how they came to be."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlreward import configuration
from vlreward.errors import DataError
from vlreward.evaluation.benchmarks.catalogue import BENCHMARKS
from vlreward.evaluation.outcome_files import OUTCOMES
from vlreward.evaluation.published import PublishedTable
from vlreward.evaluation.results import plain
from vlreward.generation.journal import Money
from vlreward.runs import RunFolder
from vlreward.sources.spec import describe_source
from vlreward.workflows.measurements import Evaluation, Loaded, Measurement

FORMAT = 1
_PACKAGES = ("torch", "transformers", "safetensors", "numpy", "pillow", "datasets", "openai")
_MOST_REFUSED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """How a run was started: its command, in one line and in words, and what ran it."""

    command: tuple[str, ...]
    version: str
    python: str
    platform: str
    packages: dict[str, str]

    @property
    def line(self) -> str:
        """The command, to be typed again."""
        return shlex.join(self.command)


def run_facts(run: RunFolder) -> RunFacts:
    """What the run's folder says of its first start."""
    noted = json.loads(run.command_path.read_text(encoding="utf-8"))
    packages = {name.lower(): version for name, version in noted["packages"].items()}
    return RunFacts(
        command=tuple(noted["command"]),
        version=noted["version"],
        python=noted["python"],
        platform=noted["platform"],
        packages={name: packages[name] for name in _PACKAGES if name in packages},
    )


def results_fields(found: Evaluation, *, facts: RunFacts) -> dict[str, Any]:
    """The whole evaluation as JSON values; shares are between 0 and 1, published ones too."""
    config = found.config
    return {
        "format": FORMAT,
        "command": list(facts.command),
        "versions": {"vlreward": facts.version, "python": facts.python, **facts.packages},
        "platform": facts.platform,
        "seed": config.seed,
        "num_resamples": config.num_resamples,
        "benchmarks": [_benchmark(one) for one in found.benchmarks],
        "results": [_measurement(one, config.output) for one in found.measurements],
        "dollars": {name: _dollars(money) for name, money in found.money.items()},
    }


def _dollars(money: Money) -> dict[str, float]:
    return {"billed": money.billed, "maybe_billed": money.maybe_billed}


def _benchmark(one: Loaded) -> dict[str, Any]:
    config, rows = one.config, one.rows
    rules = BENCHMARKS[config.name].arithmetic(config).protocol(config.protocol)
    sources = [source for source in (config.source, config.prior_sets) if source is not None]
    return {
        "label": config.label,
        "name": config.name,
        "title": one.title,
        "sources": [describe_source(source) for source in sources],
        "limit": config.limit,
        "num_rows_read": rows.num_rows,
        "num_rows": len(rows.examples),
        "num_rows_shuffled": len(one.shuffled),
        "notes": list(rows.notes),
        "refused": dict(Counter(error.code for error in rows.refused).most_common()),
        "refused_rows": [_refused(error) for error in rows.refused[:_MOST_REFUSED]],
        "protocol": {"name": rules.name, "about": rules.about},
        "published": _published(one.published),
    }


def _refused(error: DataError) -> dict[str, str]:
    return {"place": error.place, "code": error.code, "message": str(error)}


def _published(table: PublishedTable | None) -> dict[str, Any] | None:
    if table is None:
        return None
    return {
        "source": table.source,
        "rows": [
            {
                "model": row.model,
                "size": row.size,
                "word": row.word,
                "figures": _shares(table.figures, row.values),
            }
            for row in table.rows
        ],
    }


def _shares(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return {name: round(value / 100, 4) for name, value in zip(names, values, strict=True)}


def _measurement(one: Measurement, output: str) -> dict[str, Any]:
    return {
        "benchmark": one.benchmark.config.label,
        "model": one.model.label,
        "published_as": one.row.word,
        "weights": plain(one.weights),
        "scorer": configuration.to_plain(one.model.scorer),
        **one.result.as_fields(),
        "outcomes": (one.folder / OUTCOMES).relative_to(Path(output)).as_posix(),
    }
