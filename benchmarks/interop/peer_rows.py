"""The rows that both peers' scorers write, and how they learn what the peer made of a row.

A file is a JSON list of `PeerScore`s: what went into a peer (the row), what the peer made of it
(tokens and pixels) and what came out (two scores).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

SYSTEM_START, TURN_END = "<|im_start|>system\n", "<|im_end|>"


@dataclass(frozen=True)
class PeerScore:
    """One scored pair.

    `prompt` holds `<image>` where the picture goes and `image` is the picture's path as given to
    the peer. `input_ids_*` are without padding. `pixel_values_sum` is of one answer's pixels, in
    double precision. `system` is the system message that the peer's template put in, or None.
    """

    row: int
    prompt: str
    image: str
    chosen: str
    rejected: str
    score_chosen: float
    score_rejected: float
    input_ids_chosen: list[int]
    input_ids_rejected: list[int]
    image_grid_thw: list[list[int]]
    pixel_values_sum: float
    system: str | None


@dataclass(frozen=True)
class Answer:
    """One answer as the peer's model sees it: tokens without padding, one picture."""

    input_ids: list[int]
    image_grid_thw: list[int]
    pixel_values_sum: float


@dataclass
class NotingCollator:
    """Passes batches on from a peer's collator and keeps a copy of their tensors."""

    collator: Callable[..., dict[str, Any]]
    batches: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def __call__(self, features: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
        """Collate as the peer does."""
        batch = self.collator(features, **settings)
        self.batches.append(
            {name: value.clone() for name, value in batch.items() if torch.is_tensor(value)}
        )
        return batch


def split_batch(batch: dict[str, torch.Tensor]) -> list[Answer]:
    """Return a batch's answers in order; each has one picture, padding may be on either side."""
    grids = batch["image_grid_thw"]
    pixels = batch["pixel_values"].split(grids.prod(dim=-1).tolist())
    return [
        Answer(
            input_ids=ids[mask.bool()].tolist(),
            image_grid_thw=grid.tolist(),
            pixel_values_sum=values.double().sum().item(),
        )
        for ids, mask, grid, values in zip(
            batch["input_ids"], batch["attention_mask"], grids, pixels, strict=True
        )
    ]


def find_system(text: str) -> str | None:
    """Return the system message at the head of a rendered conversation, or None without one."""
    if not text.startswith(SYSTEM_START):
        return None
    return text.removeprefix(SYSTEM_START).split(TURN_END, maxsplit=1)[0]


def write_scores(path: Path, scores: Sequence[PeerScore]) -> None:
    """Write the scores as JSON and print each margin."""
    path.write_text(json.dumps([asdict(score) for score in scores], indent=1) + "\n")
    for score in scores:
        print(f"row {score.row}: {score.score_chosen:+.6f} {score.score_rejected:+.6f}")
