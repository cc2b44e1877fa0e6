"""`kill -9` at a chosen moment, for work that must survive it.

Each attempt is a process of its own, forked from one that has imported everything already. It dies
by SIGKILL: at a file operation, seen through Python's audit hooks so that no code under test is
replaced, or after some time.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_FILE_OPERATIONS = {
    *("open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"),
    "shutil.rmtree",
}
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class AtOperation:
    """Dies at file operation `number`, counted from 1 at the first on a path that matches."""

    pattern: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AfterSeconds:
    """Dies after a time, wherever it then is."""

    seconds: float


def dies(
    work: Callable[..., object],
    arguments: Sequence[Any],
    *,
    death: AtOperation | AfterSeconds | None,
) -> bool:
    """Whether a process that does the work died; False where it came to its end first.

    `work` is a function of a module, `arguments` can be pickled. Raises AssertionError if the
    process ended in any other way.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "vlreward.training.run"])
    at = death if isinstance(death, AtOperation) else None
    process = context.Process(target=_work, args=(work, tuple(arguments), at))
    process.start()
    if isinstance(death, AfterSeconds):
        process.join(death.seconds)
        process.kill()
    process.join(_LONGEST_SECONDS)
    assert process.exitcode in (0, -signal.SIGKILL), f"the process ended with {process.exitcode}"
    return process.exitcode != 0


def _work(
    work: Callable[..., object], arguments: tuple[Any, ...], death: AtOperation | None
) -> None:
    import torch

    torch.set_num_threads(1)
    if death is not None:
        _die_at(death)
    work(*arguments)


def _die_at(death: AtOperation) -> None:
    done = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if event in _FILE_OPERATIONS and (done or re.search(death.pattern, str(arguments[0]))):
            done += 1
            if done == death.number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
