"""The processes of a run: one, or as many as `torchrun` started, which then do everything together.

Whatever is called here, all processes have to call, in the same order: the first one decides and
writes, the others follow.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from vlreward.errors import Interrupted, VlrewardError

T = TypeVar("T")

_PATIENCE = timedelta(hours=2)
"""How long processes wait for each other: the first one writes checkpoints and models alone."""


def _first_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """The place of this process among those of the run; `mesh` is None where it is alone."""

    device: torch.device = field(default_factory=_first_device)
    rank: int = 0
    count: int = 1
    mesh: DeviceMesh | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def add_up(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes."""
        if self.count == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(totals)
        return [float(total) for total in totals]

    def gather(self, value: T) -> list[T]:
        """What each process gave, by rank."""
        if self.count == 1:
            return [value]
        values: list[T | None] = [None] * self.count
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process; all raise the VlrewardError that it raises."""
        if self.count == 1:
            return make()
        box: list[T | VlrewardError | None] = [None]
        if self.is_first:
            try:
                box = [make()]
            except VlrewardError as error:
                box = [error]
        dist.broadcast_object_list(box)
        if isinstance(box[0], VlrewardError):
            raise box[0]
        return box[0]  # type: ignore[return-value]

    @contextmanager
    def entered_by_first(self, context: AbstractContextManager[T]) -> Iterator[T]:
        """Opens a context in the first process and gives all what it gives there.

        The first one closes it when all have come to its end, and they go on together.
        """
        stack = ExitStack()
        with stack:
            entered = self.from_first(lambda: stack.enter_context(context))
            yield entered
            self.wait()
        self.wait()


def check_together(check: Callable[[], None], processes: Processes) -> None:
    """Raises in all processes the Interrupted that `check` raises in one."""
    if processes.count == 1:
        check()
        return
    found = None
    try:
        check()
    except Interrupted as error:
        found = error
    if any(processes.add_up([float(found is not None)])):
        raise next(error for error in processes.gather(found) if error is not None)


ALONE = Processes()
"""One process, on the GPU if there is one."""


@contextmanager
def joined() -> Iterator[Processes]:
    """All processes that `torchrun` started, on a GPU each or on the CPU; or this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Processes(
            device=device,
            rank=dist.get_rank(),
            count=count,
            mesh=init_device_mesh(device.type, (count,)),
        )
    finally:
        dist.destroy_process_group()
