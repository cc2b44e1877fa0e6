"""A benchmark's rows as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vlreward.picture_control import with_borrowed_pictures
from vlreward.records import Demonstration, Prompt, Response


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One row of a benchmark: a prompt, its responses, and which of them are right.

    `id` is unique in the benchmark. Accuracy is counted by `group` and, within it, by `subset`.
    Rows that share a prompt share a `cluster`. `right` holds indices into `responses`: one of two
    in a comparison, any number in a choice of many.
    """

    id: str
    group: str
    subset: str
    cluster: str
    prompt: Prompt
    responses: tuple[Response, ...]
    right: tuple[int, ...]
    place: str = ""

    def __post_init__(self) -> None:
        assert len(self.responses) > 1, "a choice needs two responses"
        assert set(self.right) <= set(range(len(self.responses))), "right responses are responses"

    @property
    def fingerprint(self) -> str:
        """Content hash (32 hex digits) of prompt, responses in their order, and the right ones."""
        answers = [Demonstration(prompt=self.prompt, response=one).id for one in self.responses]
        body = json.dumps([answers, self.right], separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()[:32]

    @property
    def num_characters(self) -> tuple[int, ...]:
        """The length of each response's text."""
        return tuple(len(response.text) for response in self.responses)

    @property
    def has_pictures(self) -> bool:
        """Whether the prompt or a response shows any."""
        return bool(self.prompt.pictures) or any(one.pictures for one in self.responses)


def with_shuffled_pictures(examples: Sequence[Example], *, seed: int) -> list[Example]:
    """The control that tells whether pictures are looked at; ids stay.

    Each prompt borrows the pictures of another row of its subset, of one that has as many in its
    prompt and none in common; a row without such another, or without pictures, is left out.
    """
    borrowed = with_borrowed_pictures(
        [example.prompt for example in examples],
        kinds=[(example.group, example.subset) for example in examples],
        seed=seed,
    )
    return [
        replace(example, prompt=prompt)
        for example, prompt in zip(examples, borrowed, strict=True)
        if prompt is not None
    ]
