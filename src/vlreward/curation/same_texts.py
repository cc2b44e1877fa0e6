"""Texts of a table's rows with their vectors, and whether two rows say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vlreward.curation.neighbours import Vectors, rounded
from vlreward.curation.paraphrases import are_paraphrases
from vlreward.curation.rows import hash_of
from vlreward.curation.wording import content_words, in_figures, must_agree, stem
from vlreward.errors import require
from vlreward.interfaces import Embedder

_EMBED_BATCH = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTolerance:
    """How far texts that say the same may be from each other."""

    min_similarity: float = 0.7
    """Least mean of the cosines of the vectors of prompt, chosen and rejected."""
    min_part_similarity: float = 0.2
    """Least cosine of either of them."""
    min_word_similarity: float = 0.6
    """Least cosine of the vectors of two words that may stand for each other."""

    def __post_init__(self) -> None:
        for name in ("min_similarity", "min_part_similarity", "min_word_similarity"):
            value = getattr(self, name)
            require(0 < value < 1, place=name, value=value, expected="a cosine between 0 and 1")


def group_of(
    texts: Sequence[str], shown: Iterable[tuple[str, str]], *, stands_for: Mapping[str, str]
) -> int:
    """A hash of what rows must share to be compared at all.

    That is the pictures (a part's name and a sha-256 each), copies of one being one, and what must
    agree of the texts.
    """
    pictures = [(part, stands_for.get(name, name)) for part, name in shown]
    return hash_of(repr((pictures, [must_agree(text) for text in texts])))


class Texts:
    """The texts of a table's rows, prompts first, and the file of their rounded vectors.

    A row's vector is those of its parts beside each other, number words in figures; where a part
    says nothing, the others have its weight.
    """

    def __init__(
        self, table: Any, *, parts: Sequence[str], embedder: Embedder, workspace: Path
    ) -> None:
        self._columns = [table[part].combine_chunks() for part in parts]
        self.path = workspace / "text_vectors.npy"
        self._vectors = _write_vectors(self._columns, embedder=embedder, path=self.path)
        self._words = _Words(embedder)

    def are_alike(self, first: int, second: int, *, tolerance: TextTolerance) -> bool:
        """Whether all parts of two rows say the same, within the tolerance.

        Rows whose own answers say the same but for what `paraphrases` leaves out are alike only if
        they have the same answers.
        """
        texts = [[column[at].as_py() for column in self._columns] for at in (first, second)]
        fixed = _told_apart_by(texts[0]) | _told_apart_by(texts[1])

        def same(one: str, other: str) -> bool:
            return one == other or are_paraphrases(
                one,
                other,
                embed_words=self._words.embed,
                min_similarity=tolerance.min_word_similarity,
                fixed=fixed,
            )

        if texts[0][1:] != texts[1][1:] and any(same(*answers[1:]) for answers in texts):
            return False
        return all(
            one == other or (cosine >= tolerance.min_part_similarity and same(one, other))
            for one, other, cosine in zip(*texts, self._cosines(first, second), strict=True)
        )

    def _cosines(self, first: int, second: int) -> list[float]:
        """The cosine of each part of two rows; 0 where one says nothing."""
        vectors = self._vectors[[first, second]].astype(np.float64)
        one, other = vectors.reshape(2, len(self._columns), -1)
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        return list((one * other).sum(axis=1) / np.where(lengths == 0, 1, lengths))


class _Words:
    """Vectors of single words, each embedded once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, npt.NDArray[np.float32]] = {}

    def embed(self, words: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [words, dimensions]."""
        new = sorted({word for word in words if word not in self._known})
        if new:
            self._known.update(zip(new, self._embedder.embed(new), strict=True))
        return np.stack([self._known[word] for word in words])


def _write_vectors(columns: Sequence[Any], *, embedder: Embedder, path: Path) -> Vectors:
    """Embeds each distinct text of each column once, in alphabetical order; returns the file."""
    width = embedder.embed([""]).shape[1]
    num_rows = len(columns[0])
    shape = (num_rows, width * len(columns))
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=shape)
    filled = np.stack([np.asarray(_lengths(column)) > 0 for column in columns], axis=1)
    share = 1 / np.sqrt(np.maximum(filled.sum(axis=1), 1))
    for at, column in enumerate(columns):
        distinct, places = _distinct(column)
        embedded = _embed(list(map(in_figures, distinct)), embedder=embedder)
        for start in range(0, num_rows, _EMBED_BATCH):
            rows = slice(start, start + _EMBED_BATCH)
            part = embedded[places[rows]] * share[rows, None]
            vectors[rows, at * width : (at + 1) * width] = rounded(part)
    vectors.flush()
    return vectors


def _lengths(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.utf8_length(column).to_numpy(zero_copy_only=False)


def _told_apart_by(texts: Sequence[str]) -> set[str]:
    """The stems that only one of a row's two answers has: what the pair is about."""
    answers = [set(map(stem, content_words(text))) for text in texts[1:]]
    return answers[0] ^ answers[1] if answers else set()


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
