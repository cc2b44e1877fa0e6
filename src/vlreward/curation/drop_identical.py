"""Drops what was read twice, within a source or across several, and what contradicts itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from vlreward.curation.frames import Frame, daft
from vlreward.curation.rows import RANK_COLUMNS, Row, is_unsure, rank
from vlreward.curation.steps import Bench, Drop, Outcome

_COLUMNS = ("row", "chosen_key", "rejected_key", *RANK_COLUMNS)


@dataclass(frozen=True, kw_only=True, slots=True)
class DropIdentical:
    """Of rows with one prompt and one pair of answers, the best-judged one stays.

    White space and Unicode's ways to write a letter do not count; a row whose answers differ in
    nothing else goes as `answers-identical`. Where the rows disagree on which answer is better, the
    majority holds and the others go as `contradicted`; without a majority all of them go as
    `contradictory`. Rows whose judges were unsure have a vote only where no other row has one.
    """

    name: Literal["drop-identical"] = "drop-identical"

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """The rows to drop."""
        del bench
        frames = daft()
        col = frames.col

        @frames.func
        def content(prompt: str, chosen: str, rejected: str) -> str:
            return " ".join((prompt, *sorted((chosen, rejected))))

        keys = (col("prompt_key"), col("chosen_key"), col("rejected_key"))
        keyed = rows.select(*_COLUMNS, content(*keys).alias("content"))
        repeated = keyed.groupby("content").agg(col("row").count().alias("num_rows"))
        same = (
            keyed.join(repeated, on="content")
            .where((col("num_rows") > 1) | (col("chosen_key") == col("rejected_key")))
            .to_pylist()
        )
        same.sort(key=lambda row: (row["content"], rank(row)))
        drops = [
            drop
            for _, group in groupby(same, key=lambda row: row["content"])
            for drop in _settle(list(group))
        ]
        return Outcome(drops=drops)


def _settle(group: Sequence[Row]) -> Iterator[Drop]:
    """What goes of rows with one content, the best-judged one first."""
    if group[0]["chosen_key"] == group[0]["rejected_key"]:
        yield from (Drop(row=row["row"], reason="answers-identical") for row in group)
        return
    voters = [row for row in group if not is_unsure(row)] or group
    votes = Counter(_answer(row) for row in voters)
    [(better, more), *others] = votes.most_common()
    fewer = others[0][1] if others else 0
    if more == fewer:
        detail = f"{more} for either answer"
        yield from (Drop(row=row["row"], reason="contradictory", detail=detail) for row in group)
        return
    best, *same = [row for row in group if _answer(row) == better]
    for row in same:
        yield Drop(row=row["row"], reason="identical", because=best["id"])
    detail = f"{more} votes to {fewer} for the other answer"
    for row in group:
        if _answer(row) != better:
            yield Drop(row=row["row"], reason="contradicted", because=best["id"], detail=detail)


def _answer(row: Row) -> str:
    """The key of the answer that the row prefers."""
    key: str = row["chosen_key"]
    return key
