"""The seams between stages: what one stage may know of another's implementation.

A stage takes one of these Protocols; a recipe or workflow chooses who plays it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vlreward.records import Picture, PreferencePair, Prompt, Response, Score


class Scorer(Protocol):
    """Gives each response to a prompt a number; higher is better."""

    def score_many(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterable[list[Score]]:
        """Scores in the order of the comparisons, and within one in the order of its responses."""
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
    """Turns prompts or pictures into vectors that lie near each other when they are alike."""

    def embed_prompts(self, prompts: Sequence[Prompt]) -> Sequence[Sequence[float]]:
        """One vector a prompt, all of one length."""
        ...

    def embed_pictures(self, pictures: Sequence[Picture]) -> Sequence[Sequence[float]]:
        """One vector a picture, all of one length."""
        ...


class RewardFitter(Protocol):
    """Trains a scorer on pairs: how curation gets its surrogate without knowing the trainer."""

    def fit(self, pairs: Sequence[PreferencePair], *, seed: int) -> Scorer:
        """A scorer trained on the pairs."""
        ...
