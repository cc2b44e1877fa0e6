"""What a signal does to work whose every result is on the disk as soon as it is there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vlreward.errors import Interrupted


@contextmanager
def kept_at_signals(place: str, *, kept: str) -> Iterator[None]:
    """While open, SIGINT and SIGTERM end the work with Interrupted, which says what is kept.

    Outside the main thread, signals are left as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = signal.SIGINT

    def terminate(number: int, frame: FrameType | None) -> None:
        """Ends as SIGINT does, at which an event loop cancels what it runs."""
        nonlocal received
        received = signal.SIGTERM
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(number, frame)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as error:
        raise _interrupted(received, place=place, kept=kept) from error
    except SystemExit as error:  # a training run that had not begun
        if error.code != 128 + signal.SIGTERM:
            raise
        raise _interrupted(signal.SIGTERM, place=place, kept=kept) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted(received: signal.Signals, *, place: str, kept: str) -> Interrupted:
    return Interrupted(
        "interrupted",
        value=received.name,
        place=place,
        expected="no signal",
        mend=f"{kept}: run the same command again to go on.",
    )
