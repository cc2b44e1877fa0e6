"""A benchmark's figures from outcomes, and beside them all that was not a plain verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vlreward.errors import ConfigError
from vlreward.evaluation.grading import Credits, Protocol, grade
from vlreward.evaluation.marks import Bucket, Formula, Mark, MarkTable, marks_of_rows, tabulate
from vlreward.evaluation.outcomes import Outcome

MarkRows = Callable[[Sequence[Outcome], Sequence[float | None]], list[Mark]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arithmetic:
    """How a benchmark turns outcomes into figures; the first protocol is the default."""

    formula: Formula
    main: str
    """The figure that stands for the benchmark."""
    protocols: tuple[Protocol, ...]
    mark_rows: MarkRows = marks_of_rows

    def protocol(self, name: str | None) -> Protocol:
        """The protocol of a name; raises ConfigError if there is none."""
        found = {one.name: one for one in self.protocols}
        if name is None:
            return self.protocols[0]
        if name not in found:
            raise ConfigError(
                "protocol-unknown",
                value=name,
                place="protocol",
                expected=f"one of {', '.join(found)}",
                mend="Choose one of the benchmark's protocols, or leave it out for the first.",
            )
        return found[name]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What the figures' denominators are made of.

    `num_failed` rows have no result; `num_left_out` more leave the denominator by the protocol;
    `num_ties` name no single best response; of the judge's `num_votes` replies `num_unparsed`
    could not be read. `num_truncated` rows have a response that was not read whole.
    """

    num_rows: int
    num_failed: int
    num_left_out: int
    num_ties: int
    num_votes: int
    num_unparsed: int
    num_truncated: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """A benchmark's figures, in the order in which they are shown, and its buckets' accuracies.

    A figure is None where it has no rows to stand on; all are shares between 0 and 1. `protocol`
    is None where there were no votes to count.
    """

    figures: Mapping[str, float | None]
    buckets: Mapping[Bucket, float]
    main: str
    protocol: str | None
    tally: Tally
    table: MarkTable
    formula: Formula

    @property
    def value(self) -> float | None:
        """The figure that stands for the benchmark."""
        return self.figures.get(self.main)


def measure(
    outcomes: Sequence[Outcome], *, arithmetic: Arithmetic, protocol: str | None = None
) -> Accuracy:
    """The figures of the outcomes; raises ConfigError on an unknown protocol."""
    rules = arithmetic.protocol(protocol)
    credits = grade(outcomes, protocol=rules)
    clusters = tuple(dict.fromkeys(outcome.cluster for outcome in outcomes))
    table = tabulate(arithmetic.mark_rows(outcomes, credits), clusters=clusters)
    judged = [outcome for outcome in outcomes if outcome.votes]
    formula = _reported(arithmetic.formula, rules if judged else None)
    figures = {name: _number(value) for name, value in formula(table.sums).items()}
    sums = table.sums
    return Accuracy(
        figures=figures,
        buckets={
            bucket: float(sums.credit[index] / sums.number[index])
            for index, bucket in enumerate(sums.buckets)
        },
        main=arithmetic.main if arithmetic.main in figures else next(reversed(figures)),
        protocol=_label(rules, judged) if judged else None,
        tally=_tally(outcomes, credits),
        table=table,
        formula=formula,
    )


def _reported(formula: Formula, protocol: Protocol | None) -> Formula:
    """The formula with only the figures that the protocol reports."""
    if protocol is None or protocol.figures is None:
        return formula
    names = protocol.figures
    return lambda sums: {name: value for name, value in formula(sums).items() if name in names}


def _label(protocol: Protocol, judged: Sequence[Outcome]) -> str:
    return protocol.name if protocol.label is None else protocol.label(judged)


def _number(value: object) -> float | None:
    number = float(value)  # type: ignore[arg-type]
    return None if math.isnan(number) else number


def _tally(outcomes: Sequence[Outcome], credits: Credits) -> Tally:
    num_failed = sum(outcome.failure is not None for outcome in outcomes)
    return Tally(
        num_rows=len(outcomes),
        num_failed=num_failed,
        num_left_out=sum(credit is None for credit in credits) - num_failed,
        num_ties=sum(outcome.is_tie for outcome in outcomes),
        num_votes=sum(len(outcome.votes) for outcome in outcomes),
        num_unparsed=sum(outcome.num_unparsed for outcome in outcomes),
        num_truncated=sum(outcome.num_truncated > 0 for outcome in outcomes),
    )
