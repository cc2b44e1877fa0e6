"""The size and the mixture of a set: at most so many rows, of each source and each modality."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vlreward import markdown
from vlreward.curation.frames import Frame, shows_pictures
from vlreward.curation.rows import hash_of
from vlreward.curation.steps import Bench, Drop, Exhibit, Outcome
from vlreward.errors import ConfigError, require

Modality = Literal["picture", "text"]

_MODALITIES: tuple[Modality, ...] = ("picture", "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Rows go that are over the size, over their source's cap or over their modality's share.

    Rows are taken in the order of a hash of their id and the seed, which mixes all sources evenly
    and favours no judge; one is passed over where its source or its modality has its full number.
    Shares are caps: what is short of rows is not made up for by others. The set is smaller then,
    the share of what was short lower, and the card says what was missing.
    """

    name: Literal["mix"] = "mix"
    max_rows: int | None = None
    """The most rows that stay."""
    max_source_share: float | None = None
    """The most rows of any one source, as a share of `max_rows`, or where that is unset of all; at
    least one row."""
    max_source_rows: Mapping[str, int] = field(default_factory=dict)
    """The most rows of the sources that are named here."""
    modality_shares: Mapping[Modality, float] = field(default_factory=dict)
    """Which shares of `max_rows` are rows with pictures and of text alone, as picture: 0.7 and
    text: 0.3. Without `max_rows`, they are shares of the largest set that has them, sources
    not capped."""
    seed: int = 0
    """Of the order in which rows are taken."""

    def __post_init__(self) -> None:
        limits = (self.max_source_share, self.max_source_rows, self.modality_shares)
        require(
            self.max_rows is not None or any(one not in (None, {}) for one in limits),
            place="mix",
            value="no limit",
            expected="max_rows, max_source_share, max_source_rows or modality_shares",
        )
        for place, number in {"max_rows": self.max_rows, **_named(self.max_source_rows)}.items():
            holds = number is None or number >= 1
            require(holds, place=place, value=number, expected="1 or more")
        share = self.max_source_share
        holds = share is None or 0 < share <= 1
        require(holds, place="max_source_share", value=share, expected="a share above 0, up to 1")
        shares = self.modality_shares
        holds = not shares or (
            set(shares) == set(_MODALITIES)
            and min(shares.values()) >= 0
            and math.isclose(sum(shares.values()), 1.0, abs_tol=1e-9)
        )
        expected = "shares for picture and text that make 1"
        require(holds, place="modality_shares", value=dict(shares), expected=expected)

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """The rows over a limit."""
        del bench
        found = self._ordered(rows)
        quotas = self._quotas(found)
        taken: Counter[str] = Counter()
        drops = []
        for row in found:
            keys = ("all", f"source {row['source']}", row["modality"])
            full = next((key for key in keys if taken[key] >= quotas.get(key, math.inf)), None)
            if full is None:
                taken.update(keys)
            else:
                detail = f"{full}: {quotas[full]} rows"
                drops.append(Drop(row=row["row"], reason="over-cap", detail=detail))
        return Outcome(drops=drops, exhibits=[self._exhibit(found, taken, quotas)])

    def refuse_unknown_sources(self, known: Iterable[str]) -> None:
        """Raises ConfigError if `max_source_rows` names a source that is not among the known."""
        names = sorted(set(known))
        unknown = sorted(set(self.max_source_rows) - set(names))
        if unknown:
            raise ConfigError(
                "source-unknown",
                value=", ".join(unknown),
                place="mix.max_source_rows",
                expected=f"sources of the rows: {', '.join(names)}",
                mend="Name a source as the rows do, or leave its cap out.",
            )

    def _ordered(self, rows: Frame) -> list[dict[str, Any]]:
        """Row, id, source, place and modality of all rows, in the order in which they are taken."""
        shown = shows_pictures().alias("shown")
        found = rows.select("row", "id", "source", "place", shown).to_pylist()
        for row in found:
            row["modality"] = "picture" if row["shown"] else "text"
        return sorted(
            found,
            key=lambda row: (
                hash_of(f"{self.seed} {row['id']}"),
                row["id"],
                row["source"],
                row["place"],
            ),
        )

    def _quotas(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """The most rows of what has a limit: all, sources and modalities."""
        total = len(rows) if self.max_rows is None else self.max_rows
        quotas = {} if self.max_rows is None else {"all": self.max_rows}
        if self.max_source_share is not None:
            cap = max(1, math.floor(self.max_source_share * total + 1e-9))
            quotas |= {f"source {row['source']}": cap for row in rows}
        for source, cap in self.max_source_rows.items():
            key = f"source {source}"
            quotas[key] = min(cap, quotas.get(key, cap))
        if self.modality_shares:
            if self.max_rows is None:
                total = _largest(rows, shares=self.modality_shares)
            with_pictures = math.floor(self.modality_shares["picture"] * total + 0.5)
            quotas |= {"picture": with_pictures, "text": total - with_pictures}
        return quotas

    def _exhibit(
        self,
        rows: Sequence[Mapping[str, Any]],
        taken: Mapping[str, int],
        quotas: Mapping[str, int],
    ) -> Exhibit:
        num_taken = max(1, taken["all"])
        before = Counter(
            key for row in rows for key in (f"source {row['source']}", row["modality"])
        )
        ordered = sorted(before.items(), key=lambda item: (item[0] in _MODALITIES, item))
        table = markdown.table(
            ["of", "rows before", "at most", "rows after", "share"],
            [
                (key, num_before, quotas.get(key, ""), taken[key], f"{taken[key] / num_taken:.1%}")
                for key, num_before in ordered
            ],
        )
        text = "\n".join([table, "", *self._missing(taken, quotas)]).rstrip()
        return Exhibit(title="Mixture", text=text)

    def _missing(self, taken: Mapping[str, int], quotas: Mapping[str, int]) -> list[str]:
        """What of the targets, which caps are not, was not there."""
        targets = [key for key in ("all", *_MODALITIES) if taken[key] < quotas.get(key, 0)]
        return [
            f"{key.capitalize()}: {quotas[key]} rows were wanted, {taken[key]} were to be had."
            for key in targets
        ]


def _named(caps: Mapping[str, int]) -> dict[str, int]:
    return {f"max_source_rows.{source}": cap for source, cap in caps.items()}


def _largest(rows: Sequence[Mapping[str, Any]], *, shares: Mapping[Modality, float]) -> int:
    """The most rows that have the shares, as far as the rows of either modality reach."""
    there = Counter(row["modality"] for row in rows)
    return min(math.floor(there[key] / share + 1e-9) for key, share in shares.items() if share > 0)
