"""Drops what a benchmark asks: its prompts, in the same or in other words, and its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vlreward.curation.frames import Frame, daft, shows_pictures
from vlreward.curation.neighbours import Cells, near_pairs
from vlreward.curation.rows import hash_of, prompt_text
from vlreward.curation.same_pictures import PictureTolerance, pictures_of, representatives
from vlreward.curation.same_texts import Texts, TextTolerance, group_of
from vlreward.curation.steps import Bench, Drop, Outcome
from vlreward.errors import require
from vlreward.pictures import PictureStore
from vlreward.records import Prompt
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import load_comparisons


@dataclass(frozen=True, kw_only=True, slots=True)
class Decontaminate:
    """Rows with a benchmark's prompt go, and so do rows with one of its pictures.

    Prompts are compared with their pictures: a common question counts only about a copy of the same
    picture. What is alike is told as in `DropSimilar`.
    """

    benchmarks: tuple[SourceConfig, ...]
    """Rows of prompt and responses, or pairs of any form."""
    name: Literal["decontaminate"] = "decontaminate"
    drop_pictures: bool = True
    """Whether rows go that ask something else about a benchmark's picture."""
    texts: TextTolerance = field(default_factory=TextTolerance)
    pictures: PictureTolerance = field(default_factory=PictureTolerance)
    cells: Cells = field(default_factory=Cells)

    def __post_init__(self) -> None:
        require(
            bool(self.benchmarks),
            place="benchmarks",
            value="none",
            expected="at least one benchmark's file",
        )

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """The rows to drop; raises DataError if a benchmark cannot be read."""
        asked = _read(self.benchmarks, folder=bench.folder / "pictures")
        shown = {one.sha256: one.path for each in asked for one in each.prompt.pictures if one.path}
        stands_for = representatives(
            pictures_of(rows) | shown,
            tolerance=self.pictures,
            cells=self.cells,
            workspace=bench.folder,
            first=shown,
        )
        prompts = self._same_prompts(rows, asked, stands_for=stands_for, bench=bench)
        if not self.drop_pictures:
            return Outcome(drops=prompts)
        gone = {drop.row for drop in prompts}
        pictures = _same_pictures(rows, asked, stands_for=stands_for)
        return Outcome(drops=[*prompts, *(drop for drop in pictures if drop.row not in gone)])

    def _same_prompts(
        self,
        rows: Frame,
        asked: Sequence[_Asked],
        *,
        stands_for: Mapping[str, str],
        bench: Bench,
    ) -> list[Drop]:
        """Rows whose prompt says the same as one of the benchmarks' about the same pictures."""
        table = _beside(rows, asked, stands_for=stands_for)
        texts = Texts(table, parts=("prompt",), embedder=bench.embedder, workspace=bench.folder)
        near = near_pairs(
            table["group"].to_numpy(),
            vectors=texts.path,
            order=np.array([hash_of(text) for text in table["prompt"].to_pylist()]),
            min_similarity=self.texts.min_similarity,
            cells=self.cells,
            sides=np.arange(table.num_rows) < len(asked),
        )
        found: dict[int, Drop] = {}
        numbers = table["row"].to_pylist()
        for one in near:
            row = numbers[one.second]
            if row not in found and texts.are_alike(one.first, one.second, tolerance=self.texts):
                label, cosine = asked[numbers[one.first]].label, f"cosine {one.similarity:.3f}"
                found[row] = Drop(row=row, reason="benchmark-prompt", because=label, detail=cosine)
        return [found[row] for row in sorted(found)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A benchmark's prompt, and the file and row that it is from."""

    label: str
    prompt: Prompt


def _read(benchmarks: Sequence[SourceConfig], *, folder: Path) -> list[_Asked]:
    """The benchmarks' prompts; embedded pictures go into the folder."""
    store = PictureStore(folder)
    return [
        _Asked(label=one.place, prompt=one.prompt)
        for config in benchmarks
        for one in load_comparisons(config, store=store)
    ]


def _beside(rows: Frame, asked: Sequence[_Asked], *, stands_for: Mapping[str, str]) -> Any:
    """An Arrow table of all that is asked, then the rows' prompts that may be alike, by content.

    Columns are `row` (of a benchmark's prompt: its place in `asked`), `prompt` and `group`.
    """
    import pyarrow as pa

    frames = daft()
    col = frames.col
    texts = [prompt_text(one.prompt) for one in asked]
    groups = [
        group_of(
            (text,),
            [("prompt", picture.sha256) for picture in one.prompt.pictures],
            stands_for=stands_for,
        )
        for text, one in zip(texts, asked, strict=True)
    ]

    @frames.func
    def group(text: str, pictures: list[dict[str, str]]) -> int:
        shown = [("prompt", one["sha256"]) for one in pictures if one["part"] == "prompt"]
        return group_of((text,), shown, stands_for=stands_for)

    wanted = frames.from_pydict({"group": sorted(set(groups))})
    ours = (
        rows.select("row", "prompt", "id", group(col("prompt"), col("pictures")).alias("group"))
        .join(wanted, on="group", how="semi")
        .sort(["id", "row"])
        .select("row", "prompt", "group")
        .to_arrow()
    )
    theirs = pa.table({"row": list(range(len(asked))), "prompt": texts, "group": groups})
    return pa.concat_tables([theirs.cast(ours.schema), ours])


def _same_pictures(
    rows: Frame, asked: Sequence[_Asked], *, stands_for: Mapping[str, str]
) -> Iterator[Drop]:
    """Rows that show a copy of a benchmark's picture."""
    labels: dict[str, str] = {}
    for one in asked:
        for picture in one.prompt.pictures:
            labels.setdefault(stands_for.get(picture.sha256, picture.sha256), one.label)
    shown = rows.select("row", "pictures").where(shows_pictures())
    for row in shown.sort("row").iter_rows():
        found = (
            labels.get(stands_for.get(one["sha256"], one["sha256"])) for one in row["pictures"]
        )
        label = next(filter(None, found), None)
        if label is not None:
            yield Drop(row=row["row"], reason="benchmark-picture", because=label)
