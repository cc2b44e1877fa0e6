"""Texts of a table's rows with their vectors, and whether two rows say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vlreward.curation.likeness import content_words, say_the_same
from vlreward.curation.neighbours import SCALE, rounded
from vlreward.interfaces import Embedder

_EMBED_BATCH = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTolerance:
    """How far texts that say the same may be from each other."""

    min_similarity: float = 0.7
    """Least mean, over prompt, chosen and rejected, of the cosines of the vectors."""
    min_part_similarity: float = 0.2
    """Least cosine of either of them."""
    min_word_similarity: float = 0.5
    """Least cosine of the vectors of two words that may stand for each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The texts of rows: `vectors` is the file of their rounded vectors, part beside part."""

    columns: tuple[Any, ...]
    vectors: Path
    embedder: Embedder

    @classmethod
    def of(cls, table: Any, *, parts: Sequence[str], embedder: Embedder, workspace: Path) -> Texts:
        """Embeds columns of an Arrow table, each distinct text once, in alphabetical order."""
        columns = tuple(table[part].combine_chunks() for part in parts)
        path = workspace / "text_vectors.npy"
        width = embedder.embed([""]).shape[1]
        shape = (table.num_rows, width * len(parts))
        vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=shape)
        for at, column in enumerate(columns):
            distinct, places = _distinct(column)
            embedded = _embed(distinct, embedder=embedder) / np.sqrt(len(parts))
            vectors[:, at * width : (at + 1) * width] = rounded(embedded)[places]
        vectors.flush()
        return cls(columns=columns, vectors=path, embedder=embedder)

    def are_alike(self, first: int, second: int, *, tolerance: TextTolerance) -> bool:
        """Whether prompt, chosen and rejected of two rows say the same, within the tolerance."""
        texts = [[column[at].as_py() for column in self.columns] for at in (first, second)]
        cosines = self._cosines(first, second)
        fixed = _told_apart_by(texts[0]) | _told_apart_by(texts[1])
        return all(
            one == other
            or (
                cosine >= tolerance.min_part_similarity
                and say_the_same(
                    one,
                    other,
                    embed_words=self.embedder.embed,
                    min_similarity=tolerance.min_word_similarity,
                    fixed=fixed,
                )
            )
            for one, other, cosine in zip(*texts, cosines, strict=True)
        )

    def _cosines(self, first: int, second: int) -> list[float]:
        """The cosine of each part of two rows."""
        num_parts = len(self.columns)
        vectors = np.load(self.vectors, mmap_mode="r")[[first, second]].astype(np.int64)
        one, other = vectors.reshape(2, num_parts, -1)
        return [float(dot) * num_parts / SCALE**2 for dot in (one * other).sum(axis=1)]


def _told_apart_by(texts: Sequence[str]) -> set[str]:
    """The content words that only one of a row's two answers has: what the pair is about.

    None of a row without answers.
    """
    if len(texts) < 3:
        return set()
    chosen, rejected = (set(content_words(text)) for text in texts[1:])
    return chosen ^ rejected


def _distinct(column: Any) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The column's texts in alphabetical order, each once, and each row's place among them."""
    import pyarrow.compute as pc

    distinct = pc.unique(column)
    distinct = distinct.take(pc.sort_indices(distinct))
    return distinct.to_pylist(), pc.index_in(column, value_set=distinct).to_numpy(
        zero_copy_only=False
    ).astype(np.int64)


def _embed(texts: Sequence[str], *, embedder: Embedder) -> npt.NDArray[np.float32]:
    batches = [
        embedder.embed(texts[start : start + _EMBED_BATCH])
        for start in range(0, len(texts), _EMBED_BATCH)
    ]
    return np.concatenate(batches) if batches else embedder.embed([])
