"""Text vectors without a model: hashed counts of words and of letters in a row.

Alike are texts that share words or spellings, not meanings: typing errors, other endings, other
word orders and added phrases keep texts near; synonyms do not. Nothing is downloaded.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"\w+")
_LETTERS = 3
_LETTERS_WEIGHT = 0.5


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
        vectors = np.zeros((len(texts), self.num_dimensions), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for feature, count in Counter(_features(text)).items():
                code = zlib.crc32(feature.encode("utf-8", errors="replace"))
                weight = 1.0 if feature.startswith(" ") else _LETTERS_WEIGHT
                sign = 1 if code & 1 else -1
                row[(code >> 1) % self.num_dimensions] += sign * weight * np.sqrt(count)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(norms == 0, 1, norms)
        return vectors


def _features(text: str) -> Iterator[str]:
    """Words, told by a space in front, and the letter triples inside them."""
    for word in _WORD.findall(text.lower()):
        yield f" {word}"
        framed = f"<{word}>"
        for start in range(len(framed) - _LETTERS + 1):
            yield framed[start : start + _LETTERS]
