"""`vlreward curate`: overlapping sets of preferences in, one set with a ledger and a card out."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vlreward.curation import ledger
from vlreward.curation.calls import Calls, refuse_unaskable, refuse_unreachable_models
from vlreward.curation.card import Content, Funnel, card, draw_funnel, examples_of
from vlreward.curation.config import HASHED, CurateConfig
from vlreward.curation.frames import Frame, daft, shows_pictures
from vlreward.curation.ledger import Entry
from vlreward.curation.pipeline import (
    Curated,
    curate,
    models_left,
    models_to_come,
    rehearse,
)
from vlreward.curation.regenerate_weak import RegenerateWeak
from vlreward.curation.steps import Bench
from vlreward.curation.working_set import ReadIn, pairs_of, rows_of
from vlreward.durable import (
    AtomicFolder,
    verify_manifest,
    write_bytes_atomically,
    write_text_atomically,
)
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.errors import ConfigError, DataError
from vlreward.generation.budget import Budget
from vlreward.generation.config import HOW_ASKED
from vlreward.generation.journal import ReplyJournal
from vlreward.generation.prices import is_free
from vlreward.generation.spec import describe_endpoint
from vlreward.generation.tokens import guesses_pictures
from vlreward.interfaces import Embedder
from vlreward.progress import Progress
from vlreward.records import PreferencePair
from vlreward.runs import RunFolder, only_writer
from vlreward.sources.config import ExportForm
from vlreward.sources.exports import export
from vlreward.sources.read import find_source
from vlreward.sources.write import write_parquet
from vlreward.workflows.curation_sources import (
    all_sources,
    read_sources,
    refuse_changed_since,
    refuse_doubles,
    refuse_moved_run,
    refuse_other_run,
)
from vlreward.workflows.interruption import kept_at_signals
from vlreward.workflows.local_models import LocalModels
from vlreward.workflows.places import anchored
from vlreward.workflows.plan import Plan
from vlreward.workflows.surrogates import find_surrogate_model, trainer_fitter

_SHARD_PAIRS = 10_000
_REHEARSED = ".rehearsed"
"""In the folder of a run of which there were dry runs only."""


def curate_sets(
    config: CurateConfig,
    *,
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    max_dollars: float | None = None,
    drop_unanswered: bool = False,
) -> Path:
    """Curates as the configuration says; returns the folder of the set, `set` in the run's.

    `environment` holds the keys of endpoints by the names that the configuration gives;
    `max_dollars` caps what all calls of the run together cost, over all its starts. What an earlier
    start finished is not done again. Where an endpoint gives no reply to some requests, the run
    ends with EndpointError and its next start asks them again, unless `drop_unanswered`. Raises
    DataError if a source cannot be read as a whole, or has changed since the run began, finished
    or not, ConfigError if the money does not reach, Waiting if people have to decide first, and
    Interrupted at a signal.
    """
    finished = _set_of(config)
    with Progress() as progress, _held(config, command=command):
        if _is_finished(config, progress=progress):
            return finished
        with _begun(
            config,
            environment=environment,
            max_dollars=max_dollars,
            drop_unanswered=drop_unanswered,
            progress=progress,
        ) as run:
            curated = curate(run.rows, steps=config.steps, bench=run.bench, progress=progress)
            with AtomicFolder(finished) as folder:
                num_kept = _publish(
                    folder,
                    title=Path(config.output).absolute().name,
                    curated=curated,
                    read=run.read,
                    command=command,
                )
                for form in config.exports:
                    _export(pairs_of(curated.rows), folder / form, form=form, progress=progress)
            if num_kept == 0:
                progress.say("Warning: nothing is left; the ledger says why each row went.")
    return finished


def plan_calls(
    config: CurateConfig, *, command: Sequence[str], max_dollars: float | None = None
) -> Plan:
    """What the calls of each step will take, before any is made.

    Sources are read and steps without calls are done, as the run itself will find them. Nothing is
    planned for a run that is finished. A folder that knows dry runs only is free for any other
    configuration. Raises as the run would, but needs no keys.
    """
    with Progress() as progress, _held(config, command=command, rehearses=True):
        if _is_finished(config, progress=progress):
            return Plan(steps={})
        with _begun(config, max_dollars=max_dollars, progress=progress, asks=False) as run:
            models = models_left(config.steps, folder=run.bench.folder)
            steps = rehearse(run.rows, steps=config.steps, bench=run.bench, progress=progress)
            guessed = {
                one.endpoint.model
                for one in models
                if one.sees_pictures and guesses_pictures(one.endpoint)
            }
            free = {describe_endpoint(one.endpoint) for one in models if is_free(one.endpoint)}
            return Plan(
                steps=steps,
                spent=run.spent,
                guessed_pictures=tuple(sorted(guessed)),
                free=tuple(sorted(free)),
            )


class _Run(NamedTuple):
    """A run that holds its folder: what was read, and what steps work with."""

    read: ReadIn
    rows: Frame
    bench: Bench
    spent: float


@contextmanager
def _held(
    config: CurateConfig, *, command: Sequence[str], rehearses: bool = False
) -> Iterator[None]:
    """The run's folder, for this process alone; a run that cannot begin leaves nothing in it.

    Raises Interrupted at a signal.
    """
    output = Path(config.output)
    kept = "Finished steps and all replies are kept"
    with kept_at_signals("curation", kept=kept), only_writer(output):
        _forget_rehearsal(config)
        refuse_moved_run(config)
        is_rehearsal = rehearses and not (output / "config.yaml").exists()
        run = RunFolder.create(
            output, config=anchored(config), command=command, clock=time.time, free=HOW_ASKED
        )
        if is_rehearsal:
            write_text_atomically(output / _REHEARSED, "")
        work = output.absolute() / "work"
        try:
            refuse_other_run(config, work)
            yield
        except BaseException:
            if not (work / "read").exists() and not _set_of(config).exists():
                shutil.rmtree(work, ignore_errors=True)
                run.withdraw()
                (output / _REHEARSED).unlink(missing_ok=True)
            raise


def _forget_rehearsal(config: CurateConfig) -> None:
    """Lets go of dry runs; what they read and found stays if it was for this configuration."""
    output = Path(config.output)
    if not (output / _REHEARSED).exists():
        return
    RunFolder(output, clock=time.time).withdraw()
    try:
        refuse_other_run(config, output / "work")
    except ConfigError:
        shutil.rmtree(output / "work")
    (output / _REHEARSED).unlink()


def _is_finished(config: CurateConfig, *, progress: Progress) -> bool:
    """Whether the set is there; raises DataError if it is damaged, or its sources have changed."""
    if not _set_of(config).exists():
        return False
    verify_manifest(_set_of(config), error=DataError)
    refuse_changed_since(config, Path(config.output) / "work")
    progress.say("Nothing to do: the run was finished before.")
    return True


def _set_of(config: CurateConfig) -> Path:
    """Where the finished set lies."""
    return Path(config.output) / "set"


@contextmanager
def _begun(
    config: CurateConfig,
    *,
    environment: Mapping[str, str] | None = None,
    progress: Progress,
    max_dollars: float | None,
    drop_unanswered: bool = False,
    asks: bool = True,
) -> Iterator[_Run]:
    """A run whose folder is held, with all rows read; what can be refused is refused before."""
    output = Path(config.output)
    work = output.absolute() / "work"
    refuse_unaskable(
        models_left(config.steps, folder=work),
        environment=environment or {},
        max_dollars=max_dollars,
        needs_keys=asks,
    )
    for source in all_sources(config):
        find_source(source)
    refuse_doubles(config.data)
    for step in config.steps:
        if isinstance(step, RegenerateWeak):
            find_surrogate_model(step.surrogate.recipe, model=step.surrogate.model)
    embedder = _embedder(config.embedder)
    if asks:
        to_come = models_to_come(config.steps, folder=work)
        refuse_unreachable_models(to_come, environment=environment or {})
    read = read_sources(config, work, progress=progress)
    with ReplyJournal(output / "replies.sqlite") as journal:
        budget = Budget(max_dollars, spent=journal.money().total)
        calls = Calls(
            journal=journal,
            budget=budget,
            environment=environment or {},
            needs_keys=asks,
            in_process=LocalModels().sender,
            needs_replies=not drop_unanswered,
            tell=progress.say,
        )
        bench = Bench(
            folder=work,
            embedder=embedder,
            calls=calls,
            fitters=trainer_fitter,
            annotation=output / "annotation",
        )
        rows = rows_of(work / "read" / "rows")
        yield _Run(read=read, rows=rows, bench=bench, spent=budget.spent)


def _embedder(name: str) -> Embedder:
    if name == HASHED:
        return HashedEmbedder()
    from vlreward.modeling.sentence_encoder import SentenceEncoder

    return SentenceEncoder.load(name)


def _publish(
    folder: Path, *, title: str, curated: Curated, read: ReadIn, command: Sequence[str]
) -> int:
    """Writes the set, its ledger and its card; returns the number of pairs in the set."""
    funnel = Funnel(num_read=read.num_read, num_refused=len(read.refused), passed=curated.passed)
    entries = [*read.refused, *curated.entries]
    assert funnel.num_kept + len(entries) == funnel.num_read + funnel.num_added, (
        "kept and dropped are all that is read and made"
    )
    _write_shards(pairs_of(curated.rows), folder, has_pictures=_has_pictures(curated.rows))
    ledger.write(entries, folder / "ledger.parquet")
    draw_funnel(funnel, folder / "funnel.png")
    for exhibit in curated.exhibits:
        for file in (exhibit.plot, exhibit.table):
            if file is not None:
                write_bytes_atomically(folder / file.name, file.read_bytes())
    text = card(
        title=title,
        digest=_digest(folder / "data"),
        command=command,
        funnel=funnel,
        kept=map(_content, _columns(curated.rows)),
        exhibits=curated.exhibits,
        entries=entries,
        texts=_texts(curated.all_rows, entries),
    )
    write_text_atomically(folder / "README.md", text)
    return funnel.num_kept


def _export(
    pairs: Iterator[PreferencePair], folder: Path, *, form: ExportForm, progress: Progress
) -> None:
    """Writes the set in another form, and what that cannot say into `refused.jsonl` beside it."""
    found = export(pairs, folder, form=form)
    lines = [json.dumps({"place": one.place, "reason": one.code}) for one in found.refused]
    write_text_atomically(folder / "refused.jsonl", "".join(f"{line}\n" for line in lines))
    progress.say(f"{form}: {found.num_rows} rows written, {len(lines)} cannot be said in it.")


def _has_pictures(rows: Frame) -> bool:
    return bool(rows.where(shows_pictures()).limit(1).count_rows())


def _write_shards(pairs: Iterator[PreferencePair], folder: Path, *, has_pictures: bool) -> None:
    """Files of 10,000 pairs; one without any where there are none."""
    number = 0
    while True:
        shard = list(islice(pairs, _SHARD_PAIRS))
        if number == 0 or shard:
            path = folder / "data" / f"train-{number:05d}.parquet"
            write_parquet(shard, path, has_pictures=has_pictures)
        if len(shard) < _SHARD_PAIRS:
            return
        number += 1


def _digest(data: Path) -> str:
    """Sixteen hex digits that tell the shards' content."""
    total = hashlib.sha256()
    for path in sorted(data.iterdir()):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def _columns(rows: Frame) -> Iterator[dict[str, object]]:
    shown = shows_pictures().alias("shown")
    columns = rows.select("id", "source", "prompt", "chosen", "rejected", shown)
    found: Iterator[dict[str, object]] = columns.iter_rows()
    return found


def _content(row: dict[str, object]) -> Content:
    return Content(
        source=str(row["source"]),
        has_pictures=bool(row["shown"]),
        prompt=str(row["prompt"]),
        chosen=str(row["chosen"]),
        rejected=str(row["rejected"]),
    )


def _texts(rows: Frame, entries: Sequence[Entry]) -> dict[str, Content]:
    """Those pairs of the ledger's examples that are among the rows, by id."""
    named = {one for entry in examples_of(entries) for one in (entry.id, entry.because)}
    wanted = sorted(one for one in named if one)
    if not wanted:
        return {}
    chosen = daft().from_pydict({"id": wanted})
    return {
        str(row["id"]): _content(row) for row in _columns(rows.join(chosen, on="id", how="semi"))
    }
