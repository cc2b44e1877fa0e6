"""How well a scorer orders pairs it was not trained on, by task, and how much it looks.

A pair counts as right only where the chosen response scores strictly higher (RewardBench's rule).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from vlreward.interfaces import Scorer
from vlreward.picture_control import with_borrowed_pictures
from vlreward.records import PreferencePair
from vlreward.statistics import Interval, wilson_interval


class Share(NamedTuple):
    """How many of all are right."""

    num_right: int
    num_all: int

    @classmethod
    def of(cls, are_right: Sequence[bool]) -> Share:
        """Counts; there must be one at least."""
        return cls(sum(are_right), len(are_right))

    @property
    def accuracy(self) -> float:
        """From 0 to 1."""
        return self.num_right / self.num_all

    @property
    def interval(self) -> Interval:
        """Wilson's 95 % interval."""
        return wilson_interval(self.num_right, self.num_all)

    def as_fields(self) -> dict[str, Any]:
        """Accuracy and interval as JSON values."""
        return {"accuracy": self.accuracy, "interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult:
    """How one task's pairs were ordered; `loss` is the mean of −log σ(margin)."""

    task: str
    share: Share
    """Of the pairs, those ordered rightly."""
    mean_margin: float
    loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Results over all pairs and by task, tasks in alphabetical order."""

    overall: TaskResult
    by_task: tuple[TaskResult, ...]


def validate(
    scorer: Scorer,
    pairs: Sequence[PreferencePair],
    *,
    advance: Callable[[], None] = lambda: None,
) -> Validation:
    """Scores both responses of each pair and counts; `pairs` must not be empty."""
    margins: list[float] = []
    for chosen, rejected in scorer.score_many(
        (pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs
    ):
        margins.append(chosen.value - rejected.value)
        advance()
    return validation_of(pairs, margins)


def validation_of(pairs: Sequence[PreferencePair], margins: Sequence[float]) -> Validation:
    """The results of pairs whose margins are known; there must be one at least."""
    by_task: dict[str, list[float]] = {}
    for pair, margin in zip(pairs, margins, strict=True):
        by_task.setdefault(task_of(pair), []).append(margin)
    return Validation(
        overall=_summarise("overall", margins),
        by_task=tuple(_summarise(task, by_task[task]) for task in sorted(by_task)),
    )


def describe_validation(found: Validation) -> dict[str, Any]:
    """The validation as JSON values: {"overall": …, "tasks": {name: …}}."""
    return {
        "overall": _describe_result(found.overall),
        "tasks": {result.task: _describe_result(result) for result in found.by_task},
    }


def _describe_result(result: TaskResult) -> dict[str, Any]:
    return {
        "num_pairs": result.share.num_all,
        **result.share.as_fields(),
        "mean_margin": result.mean_margin,
        "loss": result.loss,
    }


def task_of(pair: PreferencePair) -> str:
    """The pair's task, or its source where it names none."""
    return pair.origin.task or pair.origin.source


def with_shuffled_pictures(pairs: Sequence[PreferencePair], *, seed: int) -> list[PreferencePair]:
    """The control: each prompt borrows the pictures of another pair of its task.

    The other pair has as many pictures in its prompt, and none in common; a pair for which there
    is no such other, or without pictures in its prompt, is left out.
    """
    borrowed = with_borrowed_pictures(
        [pair.prompt for pair in pairs], kinds=[task_of(pair) for pair in pairs], seed=seed
    )
    return [
        replace(pair, prompt=prompt)
        for pair, prompt in zip(pairs, borrowed, strict=True)
        if prompt is not None
    ]


def _summarise(task: str, margins: Sequence[float]) -> TaskResult:
    losses = [math.log1p(math.exp(-abs(m))) + max(-m, 0.0) for m in margins]
    return TaskResult(
        task=task,
        share=Share.of([margin > 0 for margin in margins]),
        mean_margin=sum(margins) / len(margins),
        loss=sum(losses) / len(losses),
    )
