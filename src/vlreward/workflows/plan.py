"""What a run's calls will take, before any is made, and how that is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vlreward.generation.estimate import Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the calls of each step will take, by its name, and the dollars that are spent already.

    `guessed_pictures` are the paid models whose rule for pictures is not known, `free` those that
    are taken to cost nothing.
    """

    steps: Mapping[str, Estimate]
    spent: float = 0.0
    guessed_pictures: tuple[str, ...] = ()
    free: tuple[str, ...] = ()

    @property
    def total(self) -> Estimate:
        """All steps together."""
        return sum(self.steps.values(), Estimate())

    def missing(self, max_dollars: float) -> float:
        """The dollars by which the calls and what is spent pass a cap; 0 or less if it will do."""
        return self.spent + self.total.dollars - max_dollars

    def is_short(self, max_dollars: float | None) -> bool:
        """Whether there is a cap and it will not do."""
        return max_dollars is not None and self.missing(max_dollars) > 0


def told(plan: Plan, *, max_dollars: float | None) -> Iterator[str]:
    """The plan in lines: each step, all together, and whether the money will do."""
    for step, found in plan.steps.items():
        yield f"{step}: {_said(found)}"
    yield from summed_up(plan, max_dollars=max_dollars)


def summed_up(plan: Plan, *, max_dollars: float | None) -> Iterator[str]:
    """All steps together in lines, and whether the money will do."""
    total = plan.total
    yield f"All together: {_said(total)}"
    if total.is_guess:
        yield (
            "Tokens and dollars are a guess until the first replies: start the run with a small "
            "--max-dollars, then ask again."
        )
    for model in plan.guessed_pictures:
        yield (
            f"What {model} bills a picture as is not known here: its part is a guess, and with "
            "--max-dollars it has to be set in a configuration file, as tokens_per_picture."
        )
    if plan.free:
        yield (
            f"Taken to cost nothing, as an endpoint of your own: {', '.join(plan.free)}. If it is "
            "not, set dollars_per_million_input_tokens and dollars_per_million_output_tokens in a "
            "configuration file."
        )
    if max_dollars is not None:
        yield _enough(plan, max_dollars=max_dollars)


def _said(found: Estimate) -> str:
    return (
        f"{found.num_calls} calls, {found.num_known} known already, "
        f"{found.input_tokens:.0f} + {found.output_tokens:.0f} tokens, "
        f"${found.dollars:.4g}, {found.minutes:.1f} minutes"
    )


def _enough(plan: Plan, *, max_dollars: float) -> str:
    gone = f", of which ${plan.spent:.4g} are spent," if plan.spent else ""
    missing = plan.missing(max_dollars)
    if missing <= 0:
        return f"--max-dollars {max_dollars:g}{gone} will do by this estimate."
    return f"--max-dollars {max_dollars:g}{gone} will not do: ${missing:.4g} more are needed."
