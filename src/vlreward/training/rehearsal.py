"""A training run rehearsed: all data read, a few steps made, and nothing left behind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vlreward.records import Picture, PreferencePair
from vlreward.training.config import TrainConfig
from vlreward.training.embedding_adamw import sparse_gradients
from vlreward.training.encoded_pictures import refuse_unless_possible
from vlreward.training.loop import StepMetrics, train_step
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.processes import ALONE
from vlreward.training.reward_task import RewardTask
from vlreward.training.setup import (
    RunData,
    build_model,
    find_means,
    read_data,
    refuse_flex_without_gpu,
)

_CHARACTERS_A_TOKEN = 4


class RehearsedStage(NamedTuple):
    """A stage's size, and how long a step on its longest pairs took, the second time."""

    name: str
    num_pairs: int
    num_steps: int
    num_tokens: int
    seconds: float


class Rehearsal(NamedTuple):
    """What the run would begin with; `losses` are those of the steps on one batch, if any."""

    data: RunData
    stages: list[RehearsedStage]
    losses: list[float]


def rehearse(
    config: TrainConfig,
    *,
    num_overfit_steps: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Rehearsal:
    """Reads and checks everything, and makes two steps on the longest pairs of each stage.

    What would run out of memory does so here. With `num_overfit_steps`, that many are then made on
    the first batch of the first stage, at its full rate: a model that can learn brings its loss
    down. Raises as `train` does.
    """
    find_means(config)
    torch.manual_seed(config.seed)
    with tempfile.TemporaryDirectory() as folder:
        refuse_flex_without_gpu(config.model, device=ALONE.device)
        model = build_model(config, device=ALONE.device)
        if config.pictures.keep != "nowhere":
            refuse_unless_possible(model)
        data = read_data(config, model, folder=Path(folder), advance=advance)
        task = RewardTask(config=config, model=model, data=data, processes=ALONE)
        stages = [_measure(task, number) for number in range(len(config.stages))]
        losses = [step.loss for step in _overfit(task, num_steps=num_overfit_steps)]
    return Rehearsal(data, stages, losses)


def _measure(task: RewardTask, number: int) -> RehearsedStage:
    """Two steps that change no weight."""
    plan = task.plan(number)
    batch = _longest(plan.items, plan.stage.batch_size, task)
    with closing(_steps(task, batch, learning_rate=0.0, num_steps=2)) as steps:
        next(steps)
        started = time.perf_counter()
        metrics = next(steps)
        seconds = time.perf_counter() - started
    return RehearsedStage(
        plan.stage.name, len(plan.items), plan.num_steps, metrics.num_tokens, seconds
    )


def _overfit(task: RewardTask, *, num_steps: int) -> Generator[StepMetrics]:
    plan = task.plan(0)
    batch = next(plan.batches(first_step=0))
    return _steps(task, batch, learning_rate=plan.stage.learning_rate, num_steps=num_steps)


def _steps(
    task: RewardTask, batch: Sequence[PreferencePair], *, learning_rate: float, num_steps: int
) -> Generator[StepMetrics]:
    """Steps on one batch with a new optimizer."""
    objective = task.objective(0)
    task.network.train()
    decays = bool(task.config.optimizer.weight_decay)
    cheap: AbstractContextManager[Any] = nullcontext() if decays else sparse_gradients(task.network)
    with cheap:
        optimizer = MasterOptimizer(task.network, task.config.optimizer)
        for _ in range(num_steps):
            rows = objective.make_rows(batch)
            yield train_step(objective, optimizer, rows, learning_rate=learning_rate)


def _longest(
    pairs: Sequence[PreferencePair], number: int, task: RewardTask
) -> list[PreferencePair]:
    """About the longest pairs: by their letters, and their pictures' tokens."""
    preparation = task.model.encoder.preparation

    def length(pair: PreferencePair) -> float:
        contents = [message.content for message in pair.prompt.messages]
        total = 0.0
        for part in (p for c in (*contents, pair.chosen.content, pair.rejected.content) for p in c):
            if isinstance(part, Picture):
                total += 0 if preparation is None else preparation.num_tokens(part)
            else:
                total += len(part) / _CHARACTERS_A_TOKEN
        return total

    return sorted(pairs, key=length, reverse=True)[:number]
