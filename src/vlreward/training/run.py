"""A whole training run in a folder: data, network, stages, checkpoints, curves, the final model.

config = skywork_vl(data=["pairs.jsonl#train"], output="runs/first")
model = train(config)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from vlreward.durable import write_json_atomically
from vlreward.modeling import backbones
from vlreward.modeling.devices import deterministic_kernels
from vlreward.progress import Progress
from vlreward.runs import Clock, RunFolder, only_writer
from vlreward.scoring import RewardModel
from vlreward.training.config import RunConfig, TrainConfig
from vlreward.training.encoded_pictures import PictureCache, pictures_of
from vlreward.training.loop import signals_noted
from vlreward.training.processes import Processes, check_together, joined
from vlreward.training.reward_task import RewardTask
from vlreward.training.setup import (
    RunData,
    build_model,
    find_means,
    load_finished,
    read_data,
    refuse_flex_without_gpu,
    select_pairs,
)
from vlreward.training.sharding import shard
from vlreward.training.shared_folder import SharedRunFolder
from vlreward.training.shortcuts import losses_of_words
from vlreward.training.task import Task
from vlreward.training.trainer import Trainer

Result = TypeVar("Result")

_WORDS = "words-alone.json"


def train(
    config: TrainConfig,
    *,
    command: Sequence[str] = (),
    clock: Clock = time.time,
) -> RewardModel:
    """Trains a reward model in `config.output` and returns it; resumes what is there.

    A finished run is not touched: its model is loaded.
    The folder then holds `model/` (load it with `RewardModel.load`), `metrics.json`,
    `events.jsonl`, `curves.png`, `rows.jsonl` (rows refused and truncated) and `checkpoints/`.
    Raises Interrupted after a signal, its state saved; other errors name what to mend.

    Under `torchrun`, all processes train one model together, sharded by FSDP2, each with its part
    of every batch; any number of processes resumes a run. Each of them returns the model.
    """
    find_means(config)

    def prepare(context: RunContext) -> RewardTask:
        model = _prepare_model(config, context)
        cache = _picture_cache(config, model, context)
        data = _read_pairs(config, model, context)
        encoded = None if cache is None else _encode_pictures(config, cache, data, context)
        words = _losses_of_words(config, data, context)
        processes = context.processes
        if processes.mesh is not None:
            shard(model.checkpoint.network, processes.mesh)
        return RewardTask(
            config=config,
            model=model,
            data=data,
            encoded=encoded,
            words=words,
            processes=processes,
        )

    with joined() as processes:
        return run_in_folder(
            config,
            prepare=prepare,
            load_finished=lambda folder: load_finished(folder, config=config),
            command=command,
            clock=clock,
            processes=processes,
        )


class RunContext(NamedTuple):
    """What a run is prepared with; `check_signals` raises Interrupted if one came here."""

    folder: RunFolder
    progress: Progress
    check_signals: Callable[[], None]
    processes: Processes


def run_in_folder(
    config: RunConfig,
    *,
    prepare: Callable[[RunContext], Task[Result]],
    load_finished: Callable[[Path], Result],
    command: Sequence[str],
    clock: Clock,
    processes: Processes,
) -> Result:
    """Runs a task in `config.output`, which is this run's alone meanwhile; resumes it there.

    `prepare` makes the task; until it has, nothing has begun, and the configuration is taken back
    if it fails. `load_finished` gives the result of a run that is finished already, from its model
    folder.
    """
    path = Path(config.output)
    with (
        processes.entered_by_first(only_writer(path)),
        Progress(quiet=not processes.is_first) as progress,
        deterministic_kernels() if config.deterministic else nullcontext(),
    ):
        is_new = processes.from_first(lambda: not (path / "config.yaml").exists())
        folder = _open_folder(config, command=command, clock=clock, processes=processes)
        if _is_finished(folder):
            progress.say(f"The run in {path} is finished.")
            return load_finished(path / "model")
        try:
            with signals_noted() as check_signals:
                trainer = Trainer(
                    config=config,
                    folder=folder,
                    task=prepare(RunContext(folder, progress, check_signals, processes)),
                    progress=progress,
                    check_signals=partial(check_together, check_signals, processes),
                    processes=processes,
                )
                is_new = False
                return trainer.finish()
        except BaseException:
            if is_new:
                folder.withdraw()
            raise


def _open_folder(
    config: RunConfig, *, command: Sequence[str], clock: Clock, processes: Processes
) -> RunFolder:
    """Makes the run's folder, or goes on in it."""
    path = Path(config.output)

    def create() -> None:
        RunFolder.create(path, config=config, command=command, clock=clock)

    processes.from_first(create)
    return SharedRunFolder(path, clock=clock, processes=processes)


def _prepare_model(config: TrainConfig, context: RunContext) -> RewardModel:
    """Builds or loads the network; says it if its rows cannot be packed.

    What is to be sharded stays on the host until then: a device need not hold all of it.
    """
    torch.manual_seed(config.seed)
    processes = context.processes
    device = processes.device if processes.count == 1 else torch.device("cpu")
    refuse_flex_without_gpu(config.model, device=processes.device)
    model = build_model(config, device=device)
    why_padded = backbones.explain_unpackable(model.checkpoint.config)
    if config.model.layout == "auto" and why_padded is not None:
        context.progress.say(f"Rows are padded, not packed, because of the backbone: {why_padded}.")
    return model


def _read_pairs(config: TrainConfig, model: RewardModel, context: RunContext) -> RunData:
    """Reads the data; all that can be wrong with it shows here."""
    with context.progress.phase("Reading pairs") as advance:

        def after_row() -> None:
            advance()
            context.check_signals()

        data = read_data(config, model, folder=context.folder.path, advance=after_row)
    _say_data(data, context)
    return data


def _losses_of_words(
    config: TrainConfig, data: RunData, context: RunContext
) -> Mapping[str, float]:
    """What the proxy makes of the training pairs without their pictures; kept for later starts."""
    proxy_name = config.objective.words_alone
    if proxy_name is None:
        return {}
    path = context.folder.path / _WORDS

    def compute() -> dict[str, float]:
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["data_sha256"] == data.sha256:
                return dict(kept["losses"])
        proxy = RewardModel.load(proxy_name, dtype=config.model.dtype)
        pairs = data.train.pairs
        total = sum(pair.has_pictures for pair in pairs)
        with context.progress.phase("Judging words alone", total=total) as advance:

            def after_pair() -> None:
                advance()
                context.check_signals()

            losses = losses_of_words(proxy, pairs, advance=after_pair)
        write_json_atomically(path, {"data_sha256": data.sha256, "losses": losses})
        return losses

    return context.processes.from_first(compute)


def _picture_cache(
    config: TrainConfig, model: RewardModel, context: RunContext
) -> PictureCache | None:
    """What encodes pictures ahead, on the run's device, if that is wanted."""
    if config.pictures.keep == "nowhere":
        return None
    folder, processes = context.folder.path, context.processes
    cache = PictureCache(model, config.pictures, folder=folder, processes=processes)
    model.checkpoint.network.backbone.visual.to(processes.device)
    return cache


def _encode_pictures(
    config: TrainConfig, cache: PictureCache, data: RunData, context: RunContext
) -> Mapping[str, Tensor] | None:
    """The pictures of the pairs that a stage trains on, encoded ahead, if there are any."""
    pairs = data.train.pairs
    used = (select_pairs(pairs, stage, weights=config.weights) for stage in config.stages)
    pictures = pictures_of(chain.from_iterable(used))
    if not pictures:
        return None
    gib = cache.num_bytes(pictures) / 2**30
    context.progress.say(
        f"{len(pictures)} pictures are encoded once and kept in {config.pictures.keep}: "
        f"{gib:.2f} GiB."
    )
    with context.progress.phase("Encoding pictures", total=len(pictures)) as advance:

        def after_picture() -> None:
            advance()
            context.check_signals()

        return cache.fill(pictures, advance=after_picture)


def _say_data(data: RunData, context: RunContext) -> None:
    pairs = data.train.pairs
    context.progress.say(
        f"{len(pairs)} pairs to train on ({sum(pair.has_pictures for pair in pairs)} with "
        f"pictures), {len(data.validation.pairs)} to validate on."
    )
    if data.refused or data.truncated:
        context.progress.say(
            f"Rows refused: {len(data.refused)}, truncated: {len(data.truncated)}; "
            f"{context.folder.path / 'rows.jsonl'} lists them."
        )


def _is_finished(folder: RunFolder) -> bool:
    events = folder.read_events()
    return bool(events) and events[-1].kind == "finished" and (folder.path / "model").exists()
