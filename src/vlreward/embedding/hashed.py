"""Text vectors without a model: hashed counts of words and of letters in a row.

Alike are texts that share words or spellings, not meanings: typing errors, other endings, other
word orders and added phrases keep texts near; synonyms do not. Nothing is downloaded.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"\w+")
_LETTERS = 3
_LETTERS_WEIGHT = 0.5
_IS_WORD = 1 << 32
"""Set in the codes of words, above the 32 bits of the hash; not in those of letters."""
_BATCH = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class HashedEmbedder:
    """Feature hashing (Weinberger et al. 2009) of words and letter triples; an `Embedder`."""

    num_dimensions: int = 128

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"hashed-{self.num_dimensions}"

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [texts, dimensions]; a text without words has the zero vector."""
        batches = [
            self._embed_batch(texts[start : start + _BATCH])
            for start in range(0, len(texts), _BATCH)
        ]
        empty = np.zeros((0, self.num_dimensions), dtype=np.float32)
        return np.concatenate([empty, *batches])

    def _embed_batch(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        codes = [[_codes(word) for word in _WORD.findall(text.lower())] for text in texts]
        rows = np.repeat(np.arange(len(texts)), [sum(map(len, of_text)) for of_text in codes])
        found = np.concatenate([np.empty(0, dtype=np.int64), *chain.from_iterable(codes)])
        features, counts = np.unique((rows << 33) | found, return_counts=True)
        signs = np.where(features & 1, 1.0, -1.0)
        weights = np.where(features & _IS_WORD, 1.0, _LETTERS_WEIGHT)
        columns = ((features & (_IS_WORD - 1)) >> 1) % self.num_dimensions
        places = (features >> 33) * self.num_dimensions + columns
        shape = (len(texts), self.num_dimensions)
        sums = np.bincount(places, signs * weights * np.sqrt(counts), minlength=shape[0] * shape[1])
        vectors = sums.reshape(shape)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)


@lru_cache(maxsize=2**17)
def _codes(word: str) -> npt.NDArray[np.int64]:
    """The word's hash, told by a space in front, and those of the letter triples inside it."""
    framed = f"<{word}>"
    triples = [framed[at : at + _LETTERS] for at in range(len(framed) - _LETTERS + 1)]
    hashes = [zlib.crc32(text.encode("utf-8", errors="replace")) for text in (f" {word}", *triples)]
    hashes[0] |= _IS_WORD
    return np.array(hashes, dtype=np.int64)
