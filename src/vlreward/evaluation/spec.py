"""A run of evaluation from words: benchmarks, users' own files, models and judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import cast, get_args

from vlreward.errors import ConfigError
from vlreward.evaluation.benchmarks.catalogue import BENCHMARKS, benchmark_of
from vlreward.evaluation.config import (
    BenchmarkConfig,
    BenchmarkName,
    EvaluateConfig,
    EvaluatedConfig,
)
from vlreward.evaluation.scorers.config import AnswerOrder, ScorerConfig, every_part, parts_of
from vlreward.evaluation.scorers.lineup import Table
from vlreward.evaluation.scorers.spec import FILE_SUFFIXES, parse_scorer
from vlreward.sources.config import SourceConfig
from vlreward.sources.spec import parse_source, parse_sources

_TABLES: dict[str, Table] = {"vl-rewardbench": 3, "rewardbench": 4}


def evaluation(
    *,
    models: Sequence[str | ScorerConfig],
    benchmarks: Sequence[str | BenchmarkConfig] = (),
    data: Sequence[str | SourceConfig] = (),
    output: str = "runs/eval",
    limit: int | None = None,
    partial: bool = False,
    prior_sets: str | SourceConfig | None = None,
    protocol: str | None = None,
    num_votes: int | None = None,
    shuffled_pictures: bool = False,
    runs_code_of_models: bool = False,
    seed: int = 0,
) -> EvaluateConfig:
    """Every model on every benchmark, and on the pairs or candidates in the user's own `data`.

    A benchmark is NAME or NAME=SOURCE, where its rows lie elsewhere than on the hub; models are
    read by `parse_scorer`, and rows of the paper's tables run on each benchmark as its authors
    have them run. `num_votes`, `seed` and the order in which a protocol has answers shown go into
    judges that were given in a word, not into those of a file; `runs_code_of_models` into all.
    Raises ConfigError or, where `data` is not there, DataError.
    """
    chosen = [
        *(_benchmark(one) if isinstance(one, str) else one for one in benchmarks),
        *_own_benchmarks(parse_sources(data)),
    ]
    told = tuple(
        replace(
            one,
            limit=one.limit if limit is None else limit,
            partial=one.partial or partial,
            protocol=protocol or one.protocol,
            prior_sets=parse_source(prior_sets)
            if prior_sets is not None and one.name == "rewardbench"
            else one.prior_sets,
        )
        for one in chosen
    )
    if prior_sets is not None and all(one.name != "rewardbench" for one in told):
        raise _unused("--prior-sets", "--benchmark rewardbench")
    evaluated: list[EvaluatedConfig] = []
    for word in models:
        evaluated += _on_benchmarks(
            word,
            told,
            num_votes=num_votes,
            runs_code_of_models=runs_code_of_models,
            seed=seed,
        )
    has_judge = any(part.judge for one in evaluated for part in parts_of(one.scorer))
    if num_votes is not None and not has_judge:
        raise _unused("--votes", "a judge among the models")
    return EvaluateConfig(
        output=output,
        benchmarks=told,
        models=tuple(evaluated),
        shuffled_pictures=shuffled_pictures,
        seed=seed,
    )


def _benchmark(word: str) -> BenchmarkConfig:
    name, equals, source = word.partition("=")
    if name not in BENCHMARKS or (equals and not source):
        own = "; your own file is given by --data FILE"
        raise ConfigError(
            "benchmark-unknown",
            value=word,
            place="command line",
            expected=f"one of {', '.join(get_args(BenchmarkName))}, alone or with =SOURCE{own}",
            mend="For instance: --benchmark vl-rewardbench, or --benchmark vl-rewardbench=vl/",
        )
    return BenchmarkConfig(
        name=cast(BenchmarkName, name), source=parse_source(source) if source else None
    )


def _own_benchmarks(sources: Sequence[SourceConfig]) -> list[BenchmarkConfig]:
    """The user's files, with their folders before the names of files that have the same."""
    found = [BenchmarkConfig(name=benchmark_of(one), source=one) for one in sources]
    doubled = Counter(one.label for one in found)
    return [
        replace(one, title=f"{PurePath(source.path).parent.name}/{one.label}")
        if doubled[one.label] > 1
        else one
        for one, source in zip(found, sources, strict=True)
    ]


def _on_benchmarks(
    word: str | ScorerConfig,
    benchmarks: Sequence[BenchmarkConfig],
    *,
    num_votes: int | None,
    runs_code_of_models: bool,
    seed: int,
) -> list[EvaluatedConfig]:
    """The model once for each way in which it runs, with the benchmarks on which it runs so."""
    is_word = isinstance(word, str) and not word.endswith(FILE_SUFFIXES)
    ways: dict[ScorerConfig, list[str]] = {}
    for benchmark in benchmarks:
        scorer = parse_scorer(word, table=_TABLES.get(benchmark.name))
        rules = BENCHMARKS[benchmark.name].arithmetic(benchmark).protocol(benchmark.protocol)
        if is_word:
            scorer = _with_judges(scorer, num_votes=num_votes, order=rules.order, seed=seed)
        if runs_code_of_models:
            scorer = every_part(scorer, _allowed)
        ways.setdefault(scorer, []).append(benchmark.label)
    if len(ways) == 1:
        return [EvaluatedConfig(scorer=scorer) for scorer in ways]
    return [
        EvaluatedConfig(scorer=scorer, benchmarks=tuple(labels)) for scorer, labels in ways.items()
    ]


def _with_judges(
    scorer: ScorerConfig, *, num_votes: int | None, order: AnswerOrder | None, seed: int
) -> ScorerConfig:
    """With its judges asked so often, in a tool's order, by a seed."""

    def change(part: ScorerConfig) -> ScorerConfig:
        judge = part.judge
        if judge is None:
            return part
        judge = replace(judge, seed=seed)
        if order is not None and judge.ask == "pair":
            judge = replace(judge, order=order, num_votes=1)
        if num_votes is not None:
            judge = replace(judge, num_votes=num_votes)
        return replace(part, judge=judge)

    return every_part(scorer, change)


def _allowed(part: ScorerConfig) -> ScorerConfig:
    if part.remote_code is None:
        return part
    return replace(part, remote_code=replace(part.remote_code, runs_code_of_the_model=True))


def _unused(flag: str, beside: str) -> ConfigError:
    return ConfigError(
        "flag-unused",
        value=flag,
        place="command line",
        expected=f"no such flag without {beside}",
        mend="Leave it out.",
    )
