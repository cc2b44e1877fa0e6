"""Drops what its own judges were not sure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vlreward.curation.frames import Frame, daft
from vlreward.curation.steps import Bench, Drop
from vlreward.errors import require


@dataclass(frozen=True, kw_only=True, slots=True)
class DropAmbiguous:
    """Of rows that say how sure their judges were, those that were not sure enough go.

    Rows that do not say so stay.
    """

    step: Literal["drop-ambiguous"] = "drop-ambiguous"
    min_confidence: float = 0.6
    """Least confidence, such as the share of the votes: of three, two are .67."""
    min_margin: float = 0.0
    """Least difference of the judge's scores, on the sources' own scales."""

    def __post_init__(self) -> None:
        require(
            0 <= self.min_confidence <= 1,
            place="min_confidence",
            value=self.min_confidence,
            expected="a share from 0 to 1",
        )

    @property
    def name(self) -> str:
        """What recipe, ledger and card call it."""
        return self.step

    def __call__(self, rows: Frame, *, bench: Bench) -> Sequence[Drop]:
        """The rows to drop, by content."""
        del bench
        col = daft().col
        unsure = rows.select("row", "confidence", "margin").where(
            (col("confidence") < self.min_confidence)
            | (col("margin") == 0)
            | (col("margin") < self.min_margin)
        )
        return [
            _drop(row["row"], confidence=row["confidence"], margin=row["margin"], step=self)
            for row in unsure.sort("row").iter_rows()
        ]


def _drop(row: int, *, confidence: float | None, margin: float | None, step: DropAmbiguous) -> Drop:
    if confidence is not None and confidence < step.min_confidence:
        return Drop(row=row, reason="low-confidence", detail=f"confidence {confidence:.2f}")
    return Drop(row=row, reason="equal" if margin == 0 else "low-margin", detail=f"margin {margin}")
