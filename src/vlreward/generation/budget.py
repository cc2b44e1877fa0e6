"""A cap on spending that holds with many calls at once: the worst case is set aside beforehand."""

from __future__ import annotations

import math
from typing import NamedTuple

from vlreward.errors import require
from vlreward.generation.pacing import Signal


class Reservation(NamedTuple):
    """Money set aside for a call that is not settled yet."""

    number: int
    dollars: float


class Budget:
    """At most `max_dollars`, of which `spent` are gone already; None is no cap.

    For a cap over all runs with a journal, `spent` is its `money().total`.

    One budget may serve several endpoints and stages of a run, one event loop at a time. Every
    reservation must be settled. Spent plus reserved never passes the cap, as long as no call costs
    more than was reserved for it.
    """

    def __init__(self, max_dollars: float | None = None, *, spent: float = 0.0) -> None:
        for name, value in (("max_dollars", max_dollars), ("spent", spent)):
            holds = value is None or 0 <= value < math.inf
            require(holds, place=name, value=value, expected="dollars, 0 or more")
        self.max_dollars = max_dollars
        self.spent = spent
        self._open: dict[int, Reservation] = {}
        self._num_made = 0
        self._changed = Signal()

    @property
    def reserved(self) -> float:
        """What open reservations hold, in dollars."""
        return math.fsum(one.dollars for one in self._open.values())

    def try_reserve(self, dollars: float) -> Reservation | None:
        """Sets the worst case of a call aside, or gives None where it does not fit now."""
        if self.max_dollars is not None and self.spent + self.reserved + dollars > self.max_dollars:
            return None
        self._num_made += 1
        reservation = Reservation(self._num_made, dollars)
        self._open[reservation.number] = reservation
        return reservation

    async def reserve(self, dollars: float) -> Reservation | None:
        """`try_reserve`, waiting while open calls may yet free enough; None if they cannot."""
        while True:
            reservation = self.try_reserve(dollars)
            if reservation is not None or not self._may_fit_later(dollars):
                return reservation
            await self._changed.wait()

    def settle(self, reservation: Reservation, *, dollars: float) -> None:
        """Ends a reservation: the call cost `dollars`."""
        del self._open[reservation.number]
        self.spent += dollars
        self._changed.announce()

    def _may_fit_later(self, dollars: float) -> bool:
        assert self.max_dollars is not None
        return bool(self._open) and self.spent + dollars <= self.max_dollars
