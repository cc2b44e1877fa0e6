"""Annotators that are none: a judge model's verdicts with errors, to rehearse a run offline."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlreward.curation.annotation import Better, Decision, Task
from vlreward.curation.calls import budget_spent
from vlreward.errors import require
from vlreward.generation.client import Connection
from vlreward.generation.config import EndpointConfig
from vlreward.generation.outcomes import Failure
from vlreward.generation.verdicts import JudgedPair, judge_pairs
from vlreward.progress import Advance
from vlreward.records import PreferencePair

_SIDES: Mapping[str, Better] = {"first": "A", "second": "B", "equal": "equal"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedAnnotators:
    """Stand-ins for people. What they decide is marked as simulated, down to the pairs.

    All of them go by one verdict of the judge model, asked in both orders; each errs for itself.
    """

    endpoint: EndpointConfig
    """The judge model."""
    num_annotators: int = 1
    """How many decide each task."""
    error_rate: float = 0.0
    """How often each turns the verdict round, or finds one of two equal answers better."""
    seed: int = 0
    """Draws who errs where."""

    def __post_init__(self) -> None:
        number, rate = self.num_annotators, self.error_rate
        require(number >= 1, place="num_annotators", value=number, expected="1 or more")
        require(0 <= rate <= 1, place="error_rate", value=rate, expected="a share from 0 to 1")

    def decide(
        self, tasks: Sequence[Task], *, connection: Connection, progress: Advance | None = None
    ) -> Simulated:
        """What they decide, the same for the same verdicts; raises ConfigError without money."""
        shown = [as_pair(task) for task in tasks]
        judged = judge_pairs(shown, connection=connection, progress=progress)
        decisions: list[Decision] = []
        failures: dict[str, Failure] = {}
        for task, pair in zip(tasks, shown, strict=True):
            better = _side(judged[pair.id])
            if isinstance(better, Failure):
                failures[task.id] = better
            else:
                decisions += self._votes(task.id, better)
        return Simulated(decisions, failures)

    def _votes(self, task: str, better: Better) -> list[Decision]:
        names = [f"simulated-{number}" for number in range(1, self.num_annotators + 1)]
        return [
            Decision(
                task=task,
                annotator=name,
                better=self._vote(better, draw=random.Random(f"{self.seed} {name} {task}")),
                simulated=True,
            )
            for name in names
        ]

    def _vote(self, better: Better, *, draw: random.Random) -> Better:
        if draw.random() >= self.error_rate:
            return better
        if better == "equal":
            return draw.choice(("A", "B"))
        return "B" if better == "A" else "A"


class Simulated(NamedTuple):
    """What simulated annotators decided, and, by task, why there is no verdict to go by."""

    decisions: list[Decision]
    failures: dict[str, Failure]


def as_pair(task: Task) -> PreferencePair:
    """The task as a judge model is shown it, A first."""
    return PreferencePair(prompt=task.prompt, chosen=task.a, rejected=task.b)


def _side(judged: JudgedPair) -> Better | Failure:
    if judged.verdict is not None:
        return _SIDES[judged.verdict.better]
    assert judged.failure is not None, "who has no verdict has failed"
    if judged.failure.reason == "budget":
        raise budget_spent(judged.failure.detail)
    return judged.failure
