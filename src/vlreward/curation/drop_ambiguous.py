"""Drops what its own judges were not sure of, and what another judge does not see so."""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass
from typing import Literal

from vlreward.curation.calls import AskedModel, budget_spent
from vlreward.curation.frames import Frame, daft
from vlreward.curation.rows import SURE
from vlreward.curation.steps import Bench, Drop, Outcome
from vlreward.curation.working_set import numbered_pairs
from vlreward.errors import EndpointError, require
from vlreward.generation.config import EndpointConfig
from vlreward.generation.estimate import Estimate, estimate
from vlreward.generation.verdicts import JudgedPair, judge_pairs, pair_requests
from vlreward.records import PreferencePair

_FIRST_ROWS = 64
"""Judged before all others: whether the judge can be read shows in them."""
_FEW_ROWS = 8
"""Of fewer rows, most may be hard to judge by chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DropAmbiguous:
    """Rows go whose judges were not sure enough, by what the rows say of them.

    Rows that do not say how confident they were are shown to a judge model, where there is one, in
    both orders of their answers: those go in which it sees no difference, or another one when the
    order is swapped, or the other answer as the better one, those about which it is less confident
    than `min_confidence`, and those about which it does not answer. Without a judge model such rows
    stay.
    """

    name: Literal["drop-ambiguous"] = "drop-ambiguous"
    min_confidence: float = SURE
    """Least confidence, such as the share of the votes: of three, two are .67; or what a judge
    model says of its own."""
    min_margin: float = 0.0
    """Least difference of the judge's scores, on the sources' own scales."""
    judge: EndpointConfig | None = None
    """The judge model, for rows that do not say how sure their judges were."""
    judge_all: bool = False
    """Whether the judge model is asked about all other rows too."""
    num_samples: int = 1
    """How often the judge model is asked in either order; the majority counts."""

    def __post_init__(self) -> None:
        require(
            0 <= self.min_confidence <= 1,
            place="min_confidence",
            value=self.min_confidence,
            expected="a share from 0 to 1",
        )
        require(
            self.num_samples >= 1,
            place="num_samples",
            value=self.num_samples,
            expected="1 or more",
        )
        require(
            self.judge is not None or not self.judge_all,
            place="judge_all",
            value="true, without a judge",
            expected="a judge model, to be asked about all rows",
        )

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """The rows to drop.

        Raises ConfigError where the budget does not reach, EndpointError where most of what the
        judge said cannot be read: rows would go that nobody judged.
        """
        unsure = self._unsure(rows)
        if self.judge is None:
            return Outcome(drops=unsure)
        asked = self._to_ask(rows, own={drop.row for drop in unsure})
        connection = bench.connect(self.judge)
        pairs = list(asked.values())
        judged: dict[str, JudgedPair] = {}
        for some in (pairs[:_FIRST_ROWS], pairs[_FIRST_ROWS:]):
            judged |= judge_pairs(
                some,
                connection=connection,
                num_samples=self.num_samples,
                progress=bench.advance,
            )
            if connection.needs_replies:
                _refuse_mostly_unread(judged.values(), judge=self.judge)
        drops = (
            _judged_drop(row, judged[pair.id], min_confidence=self.min_confidence)
            for row, pair in asked.items()
        )
        return Outcome(drops=[*unsure, *(drop for drop in drops if drop is not None)])

    @property
    def models(self) -> list[AskedModel]:
        """The judge, where there is one."""
        return [] if self.judge is None else [AskedModel(self.judge, sees_pictures=True)]

    def estimate(self, rows: Frame, *, bench: Bench) -> Estimate:
        """What asking the judge model about these rows will take."""
        if self.judge is None:
            return Estimate()
        connection = bench.connect(self.judge)
        asked = self._to_ask(rows, own={drop.row for drop in self._unsure(rows)})
        requests = pair_requests(
            list(asked.values()), connection=connection, num_samples=self.num_samples
        )
        return estimate(requests, endpoint=self.judge, journal=connection.journal)

    def _unsure(self, rows: Frame) -> list[Drop]:
        """Rows whose own judges were not sure enough."""
        col = daft().col
        unsure = rows.select("row", "confidence", "margin").where(
            (col("confidence") < self.min_confidence)
            | (col("margin") == 0)
            | (col("margin") < self.min_margin)
        )
        return [self._own_drop(**row) for row in unsure.sort("row").iter_rows()]

    def _own_drop(self, *, row: int, confidence: float | None, margin: float | None) -> Drop:
        if confidence is not None and confidence < self.min_confidence:
            return Drop(row=row, reason="low-confidence", detail=f"confidence {confidence:.2f}")
        reason = "equal" if margin == 0 else "low-margin"
        return Drop(row=row, reason=reason, detail=f"margin {margin}")

    def _to_ask(self, rows: Frame, *, own: Container[int]) -> dict[int, PreferencePair]:
        """The rows that the judge model is shown, by number: of silent ones those not in `own`."""
        col = daft().col
        silent = rows if self.judge_all else rows.where(col("confidence").is_null())
        return {row: pair for row, pair in numbered_pairs(silent) if row not in own}


def _refuse_mostly_unread(judged: Collection[JudgedPair], *, judge: EndpointConfig) -> None:
    """Raises EndpointError if more than half of not too few rows have no verdict."""
    failures = [one.failure for one in judged if one.verdict is None and one.failure is not None]
    unread = [failure for failure in failures if failure.reason != "budget"]
    if len(judged) < _FEW_ROWS or len(unread) <= len(judged) / 2:
        return
    raise EndpointError(
        "judge-unreadable",
        value=f"no verdict on {len(unread)} of {len(judged)} rows ({unread[0].detail})",
        place=f"{judge.model} at {judge.base_url}",
        expected="replies from which a verdict can be read",
        mend="Rows without a verdict would be dropped. Take another judge, in another output "
        "folder, or let them go with --drop-unanswered.",
    )


def _judged_drop(row: int, judged: JudgedPair, *, min_confidence: float) -> Drop | None:
    """Why the judge model speaks against a row, if it does."""
    verdict = judged.verdict
    if verdict is None:
        assert judged.failure is not None, "who has no verdict has failed"
        if judged.failure.reason == "budget":
            raise budget_spent(judged.failure.detail)
        detail = judged.failure.detail
        return Drop(row=row, reason=f"not-judged-{judged.failure.reason}", detail=detail)
    rationale = verdict.rationale.encode("utf-8", errors="replace").decode()
    if verdict.better == "equal":
        return Drop(row=row, reason="judged-ambiguous", detail=rationale)
    if verdict.better == "second":
        return Drop(row=row, reason="judged-contradicted", detail=rationale)
    if verdict.confidence < min_confidence:
        detail = f"confidence {verdict.confidence:.2f}"
        return Drop(row=row, reason="judged-unsure", detail=detail)
    return None
