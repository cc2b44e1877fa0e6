"""What a curation step is: it names rows to drop, with the reason, and changes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from vlreward.curation.calls import Calls
from vlreward.curation.frames import Frame
from vlreward.generation.client import Connection
from vlreward.generation.config import EndpointConfig
from vlreward.generation.estimate import Estimate
from vlreward.interfaces import Embedder
from vlreward.progress import Advance


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """A row to drop; `because` is the id of the pair that stays in its stead, where one does."""

    row: int
    reason: str
    because: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a step works with: a folder for its files, shared by all workers, and its tools.

    `advance` is told of each call that ended.
    """

    folder: Path
    embedder: Embedder
    calls: Calls | None = None
    advance: Advance | None = None

    def connect(self, endpoint: EndpointConfig) -> Connection:
        """A connection to an endpoint, in the run's journal and budget."""
        assert self.calls is not None, "a run whose steps call endpoints has a journal"
        return self.calls.connect(endpoint)


class Step(Protocol):
    """One rule of curation; its fields are its configuration."""

    @property
    def name(self) -> str:
        """What recipe, ledger and card call it."""
        ...

    def __call__(self, rows: Frame, *, bench: Bench) -> Sequence[Drop]:
        """The rows to drop of those that are left."""
        ...


@runtime_checkable
class PaidStep(Step, Protocol):
    """A step that may call endpoints."""

    def estimate(self, rows: Frame, *, bench: Bench) -> Estimate:
        """What its calls about these rows will take."""
        ...
