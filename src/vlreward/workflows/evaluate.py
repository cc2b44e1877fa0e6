"""`vlreward eval`: scorers and judges on benchmarks, with tables, figures and a report."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from vlreward.curation.calls import Calls
from vlreward.durable import write_json_atomically, write_text_atomically
from vlreward.errors import VlrewardError
from vlreward.evaluation.assessing import assess
from vlreward.evaluation.benchmarks.catalogue import BENCHMARKS, load_benchmark
from vlreward.evaluation.config import BenchmarkConfig, EvaluateConfig, EvaluatedConfig
from vlreward.evaluation.examples import with_shuffled_pictures
from vlreward.evaluation.outcome_files import OUTCOMES, read_outcomes
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.results import summarise
from vlreward.evaluation.running import (
    JOURNAL,
    Resources,
    Task,
    check_means,
    check_rows,
    read_identity,
    run_tasks,
)
from vlreward.evaluation.scorers.identity import endpoints_of
from vlreward.evaluation.scorers.opening import Means, open_scorer
from vlreward.extras import import_extra
from vlreward.generation.budget import Budget
from vlreward.generation.estimate import Estimate
from vlreward.generation.journal import Money, ReplyJournal
from vlreward.generation.prices import is_free
from vlreward.generation.spec import describe_endpoint
from vlreward.generation.tokens import guesses_pictures
from vlreward.pictures import PictureStore
from vlreward.progress import Progress
from vlreward.runs import RunFolder, only_writer
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import find_source
from vlreward.workflows.evaluation_files import results_fields, run_facts
from vlreward.workflows.evaluation_report import write_report
from vlreward.workflows.interruption import kept_at_signals
from vlreward.workflows.measurements import (
    ROWS,
    Evaluation,
    Loaded,
    Measurement,
    model_folder,
    num_rows,
    outcomes_folder,
)
from vlreward.workflows.plan import Plan

RESULTS, REPORT, TABLES = "results.json", "report.html", "tables.txt"
_SHUFFLED, _PICTURES = "shuffled-pictures", "pictures"
_OUTCOMES = ("*.parquet", "tail.jsonl")
"""Files of a run that hold outcomes."""
_TEXT_WIDTH = 120
_NO_CONTROL = "no pictures shuffled, as no two rows of a subset have different ones to trade"
_NO_PICTURES = "no pictures shuffled, as no row has any"


class Foretold(NamedTuple):
    """What evaluating a model on a benchmark will take; `estimate` is None without any calls.

    `counted` says how the protocol counts a judge's votes. `guessed_pictures` and `free` are those
    of `Plan`.
    """

    model: str
    benchmark: str
    num_rows: int
    estimate: Estimate | None
    counted: str = ""
    guessed_pictures: tuple[str, ...] = ()
    free: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A line for people."""
        what = f"{self.model} on {self.benchmark}: {num_rows(self.num_rows)}"
        found = self.estimate
        if found is None:
            return f"{what}, no calls"
        guess = " (tokens are a guess until the first replies)" if found.is_guess else ""
        return (
            f"{what}, {found.num_calls} calls, {found.num_known} known already, "
            f"{found.input_tokens:.0f} + {found.output_tokens:.0f} tokens, ${found.dollars:.4g}, "
            f"{found.minutes:.1f} minutes{guess}{self.counted}"
        )


def evaluate(
    config: EvaluateConfig,
    *,
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    max_dollars: float | None = None,
) -> Evaluation:
    """Evaluates every model on its benchmarks, and writes results.json, tables.txt, report.html.

    Run again, it resumes: no row is judged and no reply paid for twice, but for rows that failed
    because an endpoint was out. `environment` holds the keys of endpoints by the names that the
    configuration gives; `max_dollars` caps what all calls cost, over all starts. Raises ConfigError
    if the money does not reach, DataError if a benchmark cannot be read, CheckpointError if a model
    cannot be used, EndpointError if an endpoint is down, and Interrupted at a signal.
    """
    import_extra("scipy.stats", extra="eval")
    keys = environment or {}
    for source in _sources(config):
        find_source(source)
    unjudged = [model for model in config.models if not _is_judged(config, model)]
    for model in unjudged:
        check_means(model.scorer, environment=keys, max_dollars=max_dollars)
    output = Path(config.output)
    with (
        kept_at_signals("evaluation", kept="Judged rows and all replies are kept"),
        Progress() as progress,
        only_writer(output),
    ):
        run = RunFolder.create(output, config=config, command=command, clock=time.time)
        with _withdrawn_if_unused(run):
            benchmarks = _load(config, progress=progress)
            spent = sum(money.total for money in _money(config).values())
            resources = Resources(
                progress=progress, budget=Budget(max_dollars, spent=spent), environment=keys
            )
            work = [
                (model, [task for one in benchmarks for task in _tasks(config, model, one)])
                for model in config.models
            ]
            for model, tasks in work:
                if model in unjudged:
                    check_rows(model.scorer, tasks, max_dollars=max_dollars)
            for model, tasks in work:
                folder = model_folder(config, model.label)
                run_tasks(model.scorer, tasks, folder=folder, resources=resources)
        found = Evaluation(
            config=config,
            benchmarks=tuple(benchmarks),
            measurements=tuple(_measure_all(config, benchmarks, progress=progress)),
            money=_money(config),
        )
        _write(found, output, run=run)
    return found


@contextmanager
def _withdrawn_if_unused(run: RunFolder) -> Iterator[None]:
    """Frees the folder for other settings where the run fails before any row or reply is there."""
    rows, pictures = run.path / ROWS, run.path / _PICTURES
    had_pictures = pictures.exists()
    try:
        yield
    except VlrewardError:
        if not holds_work(rows):
            for folder in (rows,) if had_pictures else (rows, pictures):
                shutil.rmtree(folder, ignore_errors=True)
            run.withdraw()
        raise


def holds_work(rows: Path) -> bool:
    """Whether a run has outcomes already, or paid for replies."""
    if any(path.stat().st_size for name in _OUTCOMES for path in rows.rglob(name)):
        return True
    for path in rows.rglob(JOURNAL):
        with ReplyJournal(path) as journal:
            if journal.count() or any(journal.money()):
                return True
    return False


def plan_evaluation(
    config: EvaluateConfig,
    *,
    environment: Mapping[str, str] | None = None,
    max_dollars: float | None = None,
) -> list[Foretold]:
    """What the calls of each model on each benchmark will take; nothing is asked or written.

    What an earlier start of the run already heard is not asked again. Raises ConfigError if a
    price is not known, nor with a cap what pictures are billed as, or a judge of pairs would be
    shown rows of more, and DataError if a benchmark cannot be read.
    """
    for source in _sources(config):
        find_source(source)
    found = []
    with Progress() as progress, tempfile.TemporaryDirectory() as place:
        benchmarks = _load(config, progress=progress, keep=Path(place))
        for model in config.models:
            for benchmark in benchmarks:
                if model.runs_on(benchmark.config):
                    if not _is_judged(config, model):
                        check_rows(
                            model.scorer,
                            [*_tasks(config, model, benchmark)],
                            max_dollars=max_dollars,
                            is_estimate=True,
                        )
                    with _journal(config, model, spare=Path(place)) as journal:
                        found.append(_foretell(model, benchmark, journal, environment or {}))
    return found


def plan_of(foretold: Sequence[Foretold], config: EvaluateConfig) -> Plan:
    """The calls of all models together, and what earlier starts have spent."""
    steps = {
        f"{one.model} on {one.benchmark}": one.estimate
        for one in foretold
        if one.estimate is not None
    }
    return Plan(
        steps=steps,
        spent=sum(money.total for money in _money(config).values()),
        guessed_pictures=tuple(sorted({name for one in foretold for name in one.guessed_pictures})),
        free=tuple(sorted({name for one in foretold for name in one.free})),
    )


def show(found: Evaluation) -> None:
    """Prints the tables, and where all else lies."""
    console = Console()
    for table in found.tables():
        console.print(table)
    output = Path(found.config.output)
    for shortfall in found.shortfalls():
        print(f"{shortfall}.")
    print(f"Figures are in {output / RESULTS}, all about them in {output / REPORT}.")


def _sources(config: EvaluateConfig) -> Iterator[SourceConfig]:
    for one in config.benchmarks:
        yield from (source for source in (one.source, one.prior_sets) if source is not None)


def _load(config: EvaluateConfig, *, progress: Progress, keep: Path | None = None) -> list[Loaded]:
    """Reads the benchmarks; pictures embedded in rows go into the run's folder, or `keep`."""
    store = PictureStore((keep or Path(config.output).absolute()) / _PICTURES)
    found = []
    with progress.phase("Reading", total=len(config.benchmarks)) as advance:
        for one in config.benchmarks:
            rows = load_benchmark(one, store=store)
            shuffled = (
                with_shuffled_pictures(rows.examples, seed=config.seed)
                if config.shuffled_pictures
                else ()
            )
            if config.shuffled_pictures and not shuffled:
                have_pictures = any(one.has_pictures for one in rows.examples)
                why = _NO_CONTROL if have_pictures else _NO_PICTURES
                rows = replace(rows, notes=(*rows.notes, why))
            found.append(Loaded(config=one, rows=rows, shuffled=tuple(shuffled)))
            advance()
            said = f"{one.label}: {num_rows(len(rows.examples))}"
            progress.say("; ".join([said, *rows.notes]))
    return found


def _tasks(config: EvaluateConfig, model: EvaluatedConfig, benchmark: Loaded) -> Iterator[Task]:
    if not model.runs_on(benchmark.config):
        return
    folder = outcomes_folder(config, model, benchmark.config)
    title = f"{model.label} on {benchmark.config.label}"
    yield Task(title, benchmark.rows.examples, folder)
    if benchmark.shuffled:
        yield Task(f"{title}, pictures shuffled", benchmark.shuffled, folder / _SHUFFLED)


def _is_judged(config: EvaluateConfig, model: EvaluatedConfig) -> bool:
    """Whether an earlier start came to the end of all that the model has to judge."""
    folders = [
        outcomes_folder(config, model, one) for one in config.benchmarks if model.runs_on(one)
    ]
    return all((folder / OUTCOMES).exists() for folder in folders)


def _measure_all(
    config: EvaluateConfig, benchmarks: Sequence[Loaded], *, progress: Progress
) -> Iterator[Measurement]:
    with progress.phase("Figures", total=len(config.models) * len(benchmarks)) as advance:
        for benchmark in benchmarks:
            for model in config.models:
                if model.runs_on(benchmark.config):
                    yield _measure(config, model, benchmark)
                advance()


def _measure(config: EvaluateConfig, model: EvaluatedConfig, benchmark: Loaded) -> Measurement:
    folder = outcomes_folder(config, model, benchmark.config)
    outcomes = read_outcomes(folder / OUTCOMES)
    shuffled = read_outcomes(folder / _SHUFFLED / OUTCOMES) if benchmark.shuffled else None
    result = summarise(
        outcomes,
        arithmetic=BENCHMARKS[benchmark.config.name].arithmetic(benchmark.config),
        protocol=benchmark.config.protocol,
        shuffled=shuffled,
        seed=config.seed,
        num_resamples=config.num_resamples,
    )
    return Measurement(
        model=model,
        benchmark=benchmark,
        outcomes=tuple(outcomes),
        result=result,
        folder=folder,
        weights=read_identity(folder.parent),
    )


def _money(config: EvaluateConfig) -> dict[str, Money]:
    """What the calls of each model have cost until now."""
    found = {}
    for model in config.models:
        path = model_folder(config, model.label) / JOURNAL
        if path.exists() and model.label not in found:
            with ReplyJournal(path) as journal:
                found[model.label] = journal.money()
    return found


@contextmanager
def _journal(
    config: EvaluateConfig, model: EvaluatedConfig, *, spare: Path
) -> Iterator[ReplyJournal]:
    """The journal of an earlier start, else an empty one that does not stay."""
    path = model_folder(config, model.label) / JOURNAL
    with ReplyJournal(path if path.exists() else spare / JOURNAL) as journal:
        yield journal


def _foretell(
    model: EvaluatedConfig,
    benchmark: Loaded,
    journal: ReplyJournal,
    environment: Mapping[str, str],
) -> Foretold:
    examples = (*benchmark.rows.examples, *benchmark.shuffled)
    endpoints = [*endpoints_of(model.scorer)]
    estimates: list[Estimate] = []
    outcomes: list[Outcome] = []
    if endpoints:
        calls = Calls(journal=journal, environment=environment, needs_keys=False)
        means = Means(calls=calls, rehearsal=estimates)
        with open_scorer(model.scorer, means=means) as scorer:
            outcomes += assess(examples, scorer)
    have_pictures = any(one.has_pictures for one in examples)
    return Foretold(
        model=model.label,
        benchmark=benchmark.config.label,
        num_rows=len(examples),
        estimate=sum(estimates, start=Estimate()) if estimates else None,
        counted=_counted(outcomes, benchmark.config),
        guessed_pictures=tuple(
            one.model for one in endpoints if have_pictures and guesses_pictures(one)
        ),
        free=tuple(describe_endpoint(one) for one in endpoints if is_free(one)),
    )


def _counted(outcomes: Sequence[Outcome], benchmark: BenchmarkConfig) -> str:
    """How many votes a row a judge is paid for, and by what protocol they are counted."""
    judged = [one for one in outcomes if one.votes]
    if not judged:
        return ""
    rules = BENCHMARKS[benchmark.name].arithmetic(benchmark).protocol(benchmark.protocol)
    name = rules.name if rules.label is None else rules.label(judged)
    return f"; {len(judged[0].votes)} votes a row, counted as {name}"


def _write(found: Evaluation, output: Path, *, run: RunFolder) -> None:
    """The files for programs, for terminals and for browsers."""
    facts = run_facts(run)
    write_json_atomically(output / RESULTS, results_fields(found, facts=facts))
    text = io.StringIO()
    console = Console(file=text, width=_TEXT_WIDTH)
    for table in found.tables():
        console.print(table)
    write_text_atomically(output / TABLES, text.getvalue())
    write_report(output / REPORT, found, facts=facts)
