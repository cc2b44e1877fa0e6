"""Drops what says the same in other words: paraphrased prompts and answers, copies of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vlreward.curation.frames import Frame, daft
from vlreward.curation.neighbours import Cells, Near, near_pairs
from vlreward.curation.rows import RANK_COLUMNS, Row, hash_of, rank
from vlreward.curation.same_pictures import PictureTolerance, pictures_of, representatives
from vlreward.curation.same_texts import Texts, TextTolerance, group_of
from vlreward.curation.steps import Bench, Drop, Outcome

_PARTS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True, kw_only=True, slots=True)
class DropSimilar:
    """Of rows with copies of the same pictures and texts that say the same, the best-judged stays.

    Prompts, chosen and rejected answers must each be alike: their vectors near, their numbers and
    negations equal, and every other word with a counterpart (see `paraphrases`).
    """

    name: Literal["drop-similar"] = "drop-similar"
    texts: TextTolerance = field(default_factory=TextTolerance)
    pictures: PictureTolerance = field(default_factory=PictureTolerance)
    cells: Cells = field(default_factory=Cells)

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """The rows to drop."""
        table = self._candidates(rows, workspace=bench.folder)
        texts = Texts(table, parts=_PARTS, embedder=bench.embedder, workspace=bench.folder)
        near = near_pairs(
            table["group"].to_numpy(),
            vectors=texts.path,
            order=table["order"].to_numpy(),
            min_similarity=self.texts.min_similarity,
            cells=self.cells,
        )
        alike = [
            one for one in near if texts.are_alike(one.first, one.second, tolerance=self.texts)
        ]
        ranked = table.select(["row", *RANK_COLUMNS]).to_pylist()
        return Outcome(drops=_keep_the_best(ranked, alike))

    def _candidates(self, rows: Frame, *, workspace: Path) -> Any:
        """The rows that share pictures, numbers and negations with another, sorted by content.

        An Arrow table with the columns `group` and `order`, both hashes.
        """
        frames = daft()
        col = frames.col
        stands_for = representatives(
            pictures_of(rows), tolerance=self.pictures, cells=self.cells, workspace=workspace
        )

        @frames.func
        def group(pictures: list[dict[str, str]], prompt: str, chosen: str, rejected: str) -> int:
            shown = [(one["part"], one["sha256"]) for one in pictures]
            return group_of((prompt, chosen, rejected), shown, stands_for=stands_for)

        @frames.func
        def order_of(key: str) -> int:
            return hash_of(key)

        shared_by = group(col("pictures"), *map(col, _PARTS)).alias("group")
        grouped = rows.select("row", *_PARTS, *RANK_COLUMNS, shared_by)
        shared = grouped.groupby("group").agg(col("row").count().alias("num_rows"))
        return (
            grouped.join(shared.where(col("num_rows") > 1), on="group")
            .with_column("order", order_of(col("id")))
            .sort(["id", "source", "place"])
            .to_arrow()
        )


def _keep_the_best(rows: Sequence[Row], alike: Iterable[Near]) -> list[Drop]:
    """Goes through the rows from the best-judged one on; who is like one that stays goes."""
    neighbours: dict[int, dict[int, float]] = {}
    for first, second, similarity in alike:
        neighbours.setdefault(first, {})[second] = similarity
        neighbours.setdefault(second, {})[first] = similarity
    dropped: dict[int, Drop] = {}
    for at in sorted(neighbours, key=lambda at: rank(rows[at])):
        if at in dropped:
            continue
        for other, similarity in neighbours[at].items():
            if other not in dropped:
                dropped[other] = Drop(
                    row=rows[other]["row"],
                    reason="similar",
                    because=rows[at]["id"],
                    detail=f"cosine {similarity:.3f}",
                )
    return [dropped[at] for at in sorted(dropped)]
