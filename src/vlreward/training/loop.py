"""The training loop: it owns time (steps, checkpoints, signals), the objective owns meaning.

The algorithm, without the bookkeeping:

    for batch in epoch:                      # a global batch of items
        for row in make_rows(batch):         # packed forward passes, this process's
            (cost(row).loss / num_units_of_batch).backward()
        clip, step

As each row's loss is divided by the global batch's size, gradients depend neither on packing nor on
the number of processes.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import (
    Callable,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from vlreward.collation.ordering import order_batches
from vlreward.errors import Interrupted, NonFiniteError
from vlreward.training.config import StageConfig
from vlreward.training.optimizer import MasterOptimizer, learning_rate_at
from vlreward.training.processes import ALONE, Processes

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)


class Row(Protocol):
    """One forward pass of training. The loss is a mean over `num_units` (pairs, or tokens)."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The items it holds, for messages."""
        ...

    @property
    def num_units(self) -> int:
        """How many losses it sums."""
        ...

    @property
    def num_tokens(self) -> int:
        """How many tokens the model reads, padding left out."""
        ...


RowT = TypeVar("RowT", bound=Row)


class Cost(NamedTuple):
    """The sum of a row's losses with its graph, and sums over its units of what is reported."""

    loss: Tensor
    totals: Mapping[str, float]


class Objective(Protocol[Item_contra, RowT]):
    """What a run minimises: how items become rows, and what a row costs."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        ...

    def make_rows(self, items: Sequence[Item_contra]) -> list[RowT]:
        """The rows of one global batch, made on the host; together they hold every item once."""
        ...

    def cost(self, row: RowT) -> Cost:
        """The forward pass; `accuracy` is among the totals."""
        ...


class StepMetrics(NamedTuple):
    """What one optimizer step measured over its global batch; `means` are over its units."""

    loss: float
    means: Mapping[str, float]
    gradient_norm: float
    learning_rate: float
    num_units: int
    num_tokens: int

    def as_fields(self) -> dict[str, float]:
        """All numbers by name."""
        fields = self._asdict()
        return {"loss": fields.pop("loss"), **fields.pop("means"), **fields}


@dataclass(frozen=True, kw_only=True, slots=True)
class StagePlan(Generic[Item]):
    """A stage's batches as a function of the epoch, and how many steps they make.

    `groups` names for each item what it stays together with (see `order_batches`).
    """

    stage: StageConfig
    items: Sequence[Item]
    groups: Sequence[Hashable]
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch, the last one perhaps smaller."""
        return math.ceil(len(self.items) / self.stage.batch_size)

    @property
    def num_steps(self) -> int:
        """Steps of the whole stage."""
        return self.steps_per_epoch * self.stage.epochs

    def batches(self, *, first_step: int) -> Iterator[list[Item]]:
        """The batches from a step of the stage on, to its end."""
        first_epoch, skipped = divmod(first_step, self.steps_per_epoch)
        for epoch in range(first_epoch, self.stage.epochs):
            order = order_batches(
                self.groups, batch_size=self.stage.batch_size, seed=self.seed, epoch=epoch
            )
            for batch in order[skipped:]:
                yield [self.items[index] for index in batch]
            skipped = 0


def made_ahead(
    make_rows: Callable[[Sequence[Item]], list[RowT]],
    batches: Iterable[Sequence[Item]],
    *,
    in_thread: bool,
) -> Generator[list[RowT]]:
    """Rows of each batch; in a thread, the next batch's are made while this one's are used.

    Without a GPU a thread does harm: once a second one uses torch, OpenMP's own wait asleep for
    each other, and a step on two cores takes twice as long (docs/LOG.md).
    """
    if not in_thread:
        yield from map(make_rows, batches)
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = None
        for batch in batches:
            following = pool.submit(make_rows, batch)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


def train_step(
    objective: Objective[Item, RowT],
    optimizer: MasterOptimizer,
    rows: Sequence[RowT],
    *,
    learning_rate: float,
    processes: Processes = ALONE,
) -> StepMetrics:
    """One optimizer step on a global batch, of which each process has its rows.

    Raises NonFiniteError with the items' ids; no weight has changed then.
    """
    counts = [sum(row.num_units for row in rows), sum(row.num_tokens for row in rows)]
    num_units, num_tokens = map(int, processes.add_up(counts))
    loss = 0.0
    means: dict[str, float] = {}
    broken: list[str] = []
    for row in rows:
        cost = objective.cost(row)
        row_loss = cost.loss / num_units
        if not torch.isfinite(row_loss):
            broken += row.ids
        (row_loss * processes.count).backward()  # gradients are means over the processes
        optimizer.collect_gradients()
        loss += float(row_loss.detach())
        for name, total in cost.totals.items():
            means[name] = means.get(name, 0.0) + total / num_units
    loss, *values = processes.add_up([loss, *means.values()])
    if not math.isfinite(loss):
        raise _not_finite("loss", _joined(processes.gather(broken)))
    norm = optimizer.step(learning_rate)
    if not math.isfinite(norm):
        ids = [one for row in rows for one in row.ids]
        raise _not_finite("gradient", _joined(processes.gather(ids)))
    return StepMetrics(
        loss=loss,
        means=dict(zip(means, values, strict=True)),
        gradient_norm=norm,
        learning_rate=learning_rate,
        num_units=num_units,
        num_tokens=num_tokens,
    )


def run_stage(
    objective: Objective[Item, RowT],
    optimizer: MasterOptimizer,
    plan: StagePlan[Item],
    *,
    first_step: int,
    after_step: Callable[[StepMetrics], None],
    processes: Processes = ALONE,
) -> None:
    """Runs a stage from one of its steps to its end; `after_step` sees each step's metrics."""
    objective.network.train()
    batches = plan.batches(first_step=first_step)
    ahead = made_ahead(objective.make_rows, batches, in_thread=torch.cuda.is_available())
    with closing(ahead) as rows_ahead:
        for step, rows in enumerate(rows_ahead, start=first_step):
            rate = learning_rate_at(step, num_steps=plan.num_steps, stage=plan.stage)
            after_step(
                train_step(objective, optimizer, rows, learning_rate=rate, processes=processes)
            )


@contextmanager
def signals_noted() -> Iterator[Callable[[], None]]:
    """While open, SIGINT and SIGTERM wait until the function given is called.

    It raises Interrupted if one came. Before its first call there is nothing to wait for, and a
    signal ends the program at once; so does a second SIGINT, unsaved. Outside the main thread,
    signals are left as they are.
    """
    received: list[int] = []
    is_asked = False

    def note(number: int, _frame: object) -> None:
        if not is_asked or (received and number == signal.SIGINT):
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        received.append(number)

    def check() -> None:
        nonlocal is_asked
        is_asked = True
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


def _joined(lists: Iterable[list[str]]) -> list[str]:
    return [one for some in lists for one in some]


def _not_finite(what: str, ids: Sequence[str]) -> NonFiniteError:
    return NonFiniteError(
        f"{what}-not-finite",
        value=f"NaN or infinity in the {what}",
        place=f"items {', '.join(ids[:8])}{' …' if len(ids) > 8 else ''}",
        expected="finite numbers",
        mend="Look at these pairs (vlreward's ids). To change the learning rate, start a new run "
        "in a new folder.",
    )
