"""The training loop: it owns time (steps, checkpoints, signals), the objective owns meaning.

The algorithm, without the bookkeeping:

    for batch in epoch:                      # a global batch of comparisons
        for row in rows_of_batch(batch):     # packed forward passes
            rewards = network(row)
            (loss(rewards[chosen], rewards[rejected]).sum() / len(batch)).backward()
        clip, step

As each row's loss is divided by the global batch's size, gradients do not depend on packing.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

from vlreward.collation.encoding import Encoder
from vlreward.collation.ordering import order_batches
from vlreward.errors import Interrupted, NonFiniteError
from vlreward.modeling.network import RewardNetwork
from vlreward.records import PreferencePair
from vlreward.training.comparisons import PairRow, rows_of_batch
from vlreward.training.config import StageConfig
from vlreward.training.objectives import PairwiseLoss
from vlreward.training.optimizer import MasterAdamW, learning_rate_at


class StepMetrics(NamedTuple):
    """What one optimizer step measured over its global batch."""

    loss: float
    accuracy: float
    mean_margin: float
    gradient_norm: float
    learning_rate: float
    num_pairs: int
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StagePlan:
    """A stage's batches as a function of the epoch, and how many steps they make."""

    stage: StageConfig
    pairs: Sequence[PreferencePair]
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch, the last one perhaps smaller."""
        return math.ceil(len(self.pairs) / self.stage.batch_size)

    @property
    def num_steps(self) -> int:
        """Steps of the whole stage."""
        return self.steps_per_epoch * self.stage.epochs

    def batches(self, *, first_step: int) -> Iterator[list[PreferencePair]]:
        """The batches from a step of the stage on, to its end."""
        prompts = [pair.prompt for pair in self.pairs]
        first_epoch, skipped = divmod(first_step, self.steps_per_epoch)
        for epoch in range(first_epoch, self.stage.epochs):
            order = order_batches(
                prompts, batch_size=self.stage.batch_size, seed=self.seed, epoch=epoch
            )
            for batch in order[skipped:]:
                yield [self.pairs[index] for index in batch]
            skipped = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RowMaker:
    """Turns a batch of pairs into rows on the host; runs ahead of the device in a thread."""

    encoder: Encoder
    token_budget: int
    packed: bool
    use_margin: bool

    def __call__(self, pairs: Sequence[PreferencePair]) -> list[PairRow]:
        """The rows of one global batch."""
        return rows_of_batch(
            pairs,
            self.encoder,
            token_budget=self.token_budget,
            packed=self.packed,
            use_margin=self.use_margin,
        )

    def ahead(self, batches: Iterator[list[PreferencePair]]) -> Generator[list[PairRow]]:
        """Rows of each batch, the next batch's being made while this one's are used."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            pending = None
            for batch in batches:
                following = pool.submit(self, batch)
                if pending is not None:
                    yield pending.result()
                pending = following
            if pending is not None:
                yield pending.result()


def train_step(
    network: RewardNetwork,
    optimizer: MasterAdamW,
    objective: PairwiseLoss,
    rows: Sequence[PairRow],
    *,
    learning_rate: float,
) -> StepMetrics:
    """One optimizer step on a global batch; raises NonFiniteError with the pairs' ids."""
    num_pairs = sum(len(row.pair_ids) for row in rows)
    loss = right = margin = 0.0
    num_tokens = 0
    for row in rows:
        rewards_R = network(row.batch.to(network.device))
        chosen_P, rejected_P = rewards_R[row.chosen_P], rewards_R[row.rejected_P]
        margins_P = row.margin_P.to(rewards_R.device)
        row_loss = objective(chosen_P, rejected_P, margins_P).sum() / num_pairs
        if not torch.isfinite(row_loss):
            raise _not_finite("loss", row.pair_ids)
        row_loss.backward()
        optimizer.collect_gradients()
        difference_P = (chosen_P - rejected_P).detach()
        loss += float(row_loss.detach())
        right += float((difference_P > 0).sum())
        margin += float(difference_P.sum())
        num_tokens += row.batch.num_tokens
    norm = optimizer.step(learning_rate)
    if not math.isfinite(norm):
        raise _not_finite("gradient", [pair_id for row in rows for pair_id in row.pair_ids])
    return StepMetrics(
        loss=loss,
        accuracy=right / num_pairs,
        mean_margin=margin / num_pairs,
        gradient_norm=norm,
        learning_rate=learning_rate,
        num_pairs=num_pairs,
        num_tokens=num_tokens,
    )


def run_stage(
    network: RewardNetwork,
    optimizer: MasterAdamW,
    objective: PairwiseLoss,
    plan: StagePlan,
    make_rows: RowMaker,
    *,
    first_step: int,
    after_step: Callable[[StepMetrics], None],
) -> None:
    """Runs a stage from one of its steps to its end; `after_step` sees each step's metrics."""
    network.train()
    with closing(make_rows.ahead(plan.batches(first_step=first_step))) as rows_ahead:
        for step, rows in enumerate(rows_ahead, start=first_step):
            rate = learning_rate_at(step, num_steps=plan.num_steps, stage=plan.stage)
            after_step(train_step(network, optimizer, objective, rows, learning_rate=rate))


@contextmanager
def signals_noted() -> Iterator[Callable[[], None]]:
    """While open, SIGINT and SIGTERM wait until the function given is called.

    It raises Interrupted if one came. A second SIGINT ends the program at once, unsaved. Outside
    the main thread, signals are left as they are.
    """
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    def check() -> None:
        if received:
            raise Interrupted(
                "interrupted",
                value=signal.Signals(received[0]).name,
                place="training",
                expected="no signal",
                mend="Nothing is lost: run the same command again to go on.",
            )

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _not_finite(what: str, pair_ids: Sequence[str]) -> NonFiniteError:
    return NonFiniteError(
        f"{what}-not-finite",
        value=f"NaN or infinity in the {what}",
        place=f"pairs {', '.join(pair_ids[:8])}{' …' if len(pair_ids) > 8 else ''}",
        expected="finite numbers",
        mend="Look at these pairs (vlreward's ids). To change the learning rate, start a new run "
        "in a new folder.",
    )
