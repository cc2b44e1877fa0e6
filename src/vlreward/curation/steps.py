"""What a curation step is: it names rows to drop, with the reason, and changes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vlreward.curation.frames import Frame
from vlreward.interfaces import Embedder


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """A row to drop; `because` is the id of the pair that stays in its stead, where one does."""

    row: int
    reason: str
    because: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a step works with: a folder for its files, shared by all workers, and its tools."""

    folder: Path
    embedder: Embedder


class Step(Protocol):
    """One rule of curation; its fields are its configuration."""

    @property
    def name(self) -> str:
        """What recipe, ledger and card call it."""
        ...

    def __call__(self, rows: Frame, *, bench: Bench) -> Sequence[Drop]:
        """The rows to drop of those that are left."""
        ...
