"""What a curation step is: it says what goes and why, and what comes; it changes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from vlreward.curation.calls import AskedModel, Calls
from vlreward.curation.frames import Frame
from vlreward.generation.client import Connection
from vlreward.generation.config import EndpointConfig
from vlreward.generation.estimate import Estimate
from vlreward.interfaces import Embedder, RewardFitter
from vlreward.progress import Advance
from vlreward.records import PreferencePair


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """A row to drop; `because` is the id of the pair that stays in its stead, where one does."""

    row: int
    reason: str
    because: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibit:
    """What a step shows of its work on the card: a text in Markdown, and a plot's PNG file.

    `table` is a Parquet file with what the text sums up; it is published beside the card.
    """

    title: str
    text: str
    plot: Path | None = None
    table: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a step found: rows to drop, new pairs, and what the card shows of it.

    A row whose pair is changed is dropped, `because` of the new pair that stands in its stead.
    """

    drops: Sequence[Drop] = ()
    added: Sequence[PreferencePair] = ()
    exhibits: Sequence[Exhibit] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a step works with: a folder for its files, shared by all workers, and its tools.

    `advance` is told of each call that ended; `fitters` makes what trains a surrogate, from the
    name of a recipe and the model to begin with. `annotation` is where people find tasks and leave
    their decisions; a folder of the step's own where it is not set.
    """

    folder: Path
    embedder: Embedder
    calls: Calls | None = None
    advance: Advance | None = None
    fitters: Fitters | None = None
    annotation: Path | None = None

    def connect(self, endpoint: EndpointConfig) -> Connection:
        """A connection to an endpoint, in the run's journal and budget."""
        assert self.calls is not None, "a run whose steps call endpoints has a journal"
        return self.calls.connect(endpoint)


class Fitters(Protocol):
    """Makes what trains a surrogate reward model."""

    def __call__(self, recipe: str, *, model: str | None, folder: Path) -> RewardFitter:
        """A fitter by the named recipe from a model; its runs lie in the folder and resume.

        Without a model the recipe's own is taken. Raises ConfigError for an unknown recipe, or a
        model where the recipe takes none.
        """
        ...


class Step(Protocol):
    """One rule of curation; its fields are its configuration."""

    @property
    def name(self) -> str:
        """What recipe, ledger and card call it."""
        ...

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """What to drop of the rows that are left, and what to add."""
        ...


@runtime_checkable
class PaidStep(Step, Protocol):
    """A step that may call endpoints."""

    @property
    def models(self) -> Sequence[AskedModel]:
        """The models that it may ask."""
        ...

    def estimate(self, rows: Frame, *, bench: Bench) -> Estimate:
        """What its calls about these rows will take."""
        ...
