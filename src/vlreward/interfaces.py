"""The seams between stages: what one stage may know of another's implementation.

A stage takes one of these Protocols; a recipe or workflow chooses who plays it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from vlreward.errors import VlrewardError
from vlreward.records import PreferencePair, Prompt, Response, Score


class Scorer(Protocol):
    """Gives each response to a prompt a number; higher is better."""

    def score_many(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterable[list[Score]]:
        """Scores in the order of the comparisons, and within one in the order of its responses.

        Raises the error of the first comparison that cannot be scored.
        """
        ...

    def score_each(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score] | VlrewardError]:
        """As `score_many`, but a comparison that cannot be scored yields its error."""
        ...


class Generator(Protocol):
    """Answers a prompt."""

    def generate(self, prompt: Prompt, *, num_responses: int, seed: int) -> list[Response]:
        """`num_responses` answers, the same for the same seed where the implementation can."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A judge's decision between two responses; `confidence` lies in [0, 1]."""

    better: Literal["first", "second", "equal"]
    confidence: float
    rationale: str = ""


class Judge(Protocol):
    """Says which of two responses is better."""

    def judge(self, prompt: Prompt, first: Response, second: Response) -> Verdict:
        """The verdict for the two responses in this order."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors that lie near each other when the texts are alike."""

    @property
    def name(self) -> str:
        """What a report calls it."""
        ...

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [texts, dimensions]; the zero vector where a text says nothing."""
        ...


class RewardFitter(Protocol):
    """Trains a scorer on pairs: how curation gets its surrogate without knowing the trainer."""

    def fit(self, pairs: Sequence[PreferencePair], *, seed: int) -> Scorer:
        """A scorer trained on the pairs."""
        ...
