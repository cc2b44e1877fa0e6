"""What a run is about, as its trainer sees it: data, objective, validation and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import nn

from vlreward.training.loop import Objective, StagePlan

Result_co = TypeVar("Result_co", covariant=True)


class Measured(NamedTuple):
    """A validation: `fields` for the event, `curves` by name for the plots, `said` for people."""

    fields: Mapping[str, Any]
    curves: Mapping[str, float]
    said: str


class Task(Protocol[Result_co]):
    """A run's subject: it owns the meaning, the trainer owns stages, checkpoints and events."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def fixed_weights(self) -> Collection[str]:
        """Names of weights that checkpoints need not hold: a run never changes them."""
        ...

    def objective(self, stage: int, /) -> Objective[Any, Any]:
        """What a stage minimises."""
        ...

    @property
    def items_name(self) -> str:
        """What the items are called: pairs."""
        ...

    def plan(self, stage: int) -> StagePlan[Any]:
        """The batches of a stage."""
        ...

    def describe_data(self) -> Mapping[str, Any]:
        """Counts for the events, and a `data_sha256` over all items in their order."""
        ...

    def num_to_validate(self, stage: int, /) -> int:
        """How many units a validation in a stage has; 0 if there is none."""
        ...

    def validate(self, stage: int, /, *, advance: Callable[[], None]) -> Measured:
        """Measures the network in a stage; `advance` is called after each unit and may raise."""
        ...

    def export(
        self, folder: Path, *, measured: Mapping[str, Any] | None, advance: Callable[[], None]
    ) -> Result_co:
        """Writes the finished model to the folder, unless it is there; returns what a run gives.

        `measured` are the fields of the validation of these weights, if there was one.
        `advance` is called after each unit of work and may raise.
        """
        ...
