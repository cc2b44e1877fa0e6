"""A whole training run in a folder: data, network, stages, checkpoints, curves, the final model.

config = skywork_vl(data=["pairs.jsonl#train"], output="runs/first")
model = train(config)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from vlreward.extras import import_extra
from vlreward.modeling import backbones
from vlreward.progress import Progress
from vlreward.runs import Clock, RunFolder, only_writer
from vlreward.scoring import RewardModel
from vlreward.training.config import RunConfig, TrainConfig
from vlreward.training.encoded_pictures import PictureCache, pictures_of
from vlreward.training.loop import signals_noted
from vlreward.training.reward_task import RewardTask
from vlreward.training.setup import RunData, build_model, find_sources, read_data
from vlreward.training.task import Task
from vlreward.training.trainer import Trainer

Result = TypeVar("Result")


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
    """
    find_sources(config)
    if config.tensorboard:
        import_extra("tensorboard", extra="track")
    if config.model.lora_rank:
        import_extra("peft", extra="lora")

    def prepare(
        folder: RunFolder, progress: Progress, check_signals: Callable[[], None]
    ) -> RewardTask:
        model = _prepare_model(config, progress=progress)
        data = _read_pairs(
            config, model, folder=folder, progress=progress, check_signals=check_signals
        )
        encoded = _encode_pictures(
            config, model, data, folder=folder, progress=progress, check_signals=check_signals
        )
        return RewardTask(config=config, model=model, data=data, encoded=encoded)

    return run_in_folder(
        config,
        prepare=prepare,
        load_finished=lambda folder: _load_finished(folder, config=config),
        command=command,
        clock=clock,
    )


def run_in_folder(
    config: RunConfig,
    *,
    prepare: Callable[[RunFolder, Progress, Callable[[], None]], Task[Result]],
    load_finished: Callable[[Path], Result],
    command: Sequence[str],
    clock: Clock,
) -> Result:
    """Runs a task in `config.output`, which is this process's alone meanwhile; resumes it there.

    `prepare` makes the task; until it has, nothing has begun, and the configuration is taken back
    if it fails. `load_finished` gives the result of a run that is finished already, from its model
    folder.
    """
    path = Path(config.output)
    with only_writer(path), Progress() as progress:
        is_new = not (path / "config.yaml").exists()
        folder = RunFolder.create(path, config=config, command=command, clock=clock)
        if _is_finished(folder):
            progress.say(f"The run in {path} is finished.")
            return load_finished(path / "model")
        try:
            with signals_noted() as check_signals:
                trainer = Trainer(
                    config=config,
                    folder=folder,
                    task=prepare(folder, progress, check_signals),
                    progress=progress,
                    check_signals=check_signals,
                )
                is_new = False
                return trainer.finish()
        except BaseException:
            if is_new:
                folder.withdraw()
            raise


def _prepare_model(config: TrainConfig, *, progress: Progress) -> RewardModel:
    """Builds or loads the network; says it if its rows cannot be packed."""
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(config, device=device)
    why_padded = backbones.explain_unpackable(model.checkpoint.config)
    if config.model.layout == "auto" and why_padded is not None:
        progress.say(f"Rows are padded, not packed, because of the backbone: {why_padded}.")
    return model


def _read_pairs(
    config: TrainConfig,
    model: RewardModel,
    *,
    folder: RunFolder,
    progress: Progress,
    check_signals: Callable[[], None],
) -> RunData:
    """Reads the data; all that can be wrong with it shows here."""
    with progress.phase("Reading pairs") as advance:

        def after_row() -> None:
            advance()
            check_signals()

        data = read_data(config, model, folder=folder.path, advance=after_row)
    _say_data(data, folder=folder, progress=progress)
    return data


def _encode_pictures(
    config: TrainConfig,
    model: RewardModel,
    data: RunData,
    *,
    folder: RunFolder,
    progress: Progress,
    check_signals: Callable[[], None],
) -> Mapping[str, Tensor] | None:
    """The training pairs' pictures, encoded ahead if that is wanted and there are any."""
    pictures = pictures_of(data.train.pairs)
    if config.pictures.keep == "nowhere" or not pictures:
        return None
    cache = PictureCache(model, config.pictures, folder=folder.path)
    gib = cache.num_bytes(pictures) / 2**30
    progress.say(
        f"{len(pictures)} pictures are encoded once and kept in {config.pictures.keep}: "
        f"{gib:.2f} GiB."
    )
    with progress.phase("Encoding pictures", total=len(pictures)) as advance:

        def after_picture() -> None:
            advance()
            check_signals()

        return cache.fill(pictures, advance=after_picture)


def _say_data(data: RunData, *, folder: RunFolder, progress: Progress) -> None:
    pairs = data.train.pairs
    progress.say(
        f"{len(pairs)} pairs to train on ({sum(pair.has_pictures for pair in pairs)} with "
        f"pictures), {len(data.validation.pairs)} to validate on."
    )
    if data.refused or data.truncated:
        progress.say(
            f"Rows refused: {len(data.refused)}, truncated: {len(data.truncated)}; "
            f"{folder.path / 'rows.jsonl'} lists them."
        )


def _is_finished(folder: RunFolder) -> bool:
    events = folder.read_events()
    return bool(events) and events[-1].kind == "finished" and (folder.path / "model").exists()


def _load_finished(folder: Path, *, config: TrainConfig) -> RewardModel:
    return RewardModel.load(
        folder,
        dtype=config.model.dtype,
        collation=config.collation,
        layout=config.model.layout,
    )
