"""Trees end to end in one row without padding, up to a token budget.

Shapes: T tokens of the packed row, R responses in it, A axes of positions, P patches,
I pictures, D values of a patch, M picture tokens, F values of one before the projector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vlreward.collation.encoding import Span, Tree
from vlreward.collation.picture_preparation import PreparesPictures
from vlreward.records import Picture


class Interval(NamedTuple):
    """Tokens `start` up to, not including, `end` of a packed row."""

    start: int
    end: int


class TreeInterval(NamedTuple):
    """Where one tree lies in a packed row: its prefix, then its branches in order."""

    prefix: Interval
    branches: tuple[Interval, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PackedBatch:
    """One packed row of trees, ready for the model.

    `score_positions` [R] are the last tokens of the responses, in the order of `trees` and of
    the branches in each.
    """

    input_ids: Tensor
    """[1, T]"""
    position_ids: Tensor
    """[A, 1, T] for M-RoPE, [1, T] for plain rotary positions."""
    structure: tuple[TreeInterval, ...]
    score_positions: Tensor
    pixel_values: Tensor | None = None
    """[P, D] of the row's pictures in reading order, or None."""
    image_grid_thw: Tensor | None = None
    """[I, 3], or None."""
    encoded_pictures: Tensor | None = None
    """[M, F] of pictures encoded ahead, in reading order, instead of their pixels; or None."""

    @property
    def num_tokens(self) -> int:
        """How many tokens the model reads."""
        num_tokens: int = self.input_ids.numel()
        return num_tokens

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on another device."""
        return PackedBatch(
            input_ids=self.input_ids.to(device),
            position_ids=self.position_ids.to(device),
            structure=self.structure,
            score_positions=self.score_positions.to(device),
            pixel_values=_moved(self.pixel_values, device),
            image_grid_thw=_moved(self.image_grid_thw, device),
            encoded_pictures=_moved(self.encoded_pictures, device),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PaddedBatch:
    """The same comparisons as plain right-padded rows, prompts repeated: the reference layout."""

    input_ids: Tensor
    """[R, T], padded with zeros."""
    attention_mask: Tensor
    """[R, T], 1 where there is a token."""
    position_ids: Tensor
    """[A, R, T] or [R, T]."""
    score_positions: Tensor
    """[R]: index of the last token of each row."""
    pixel_values: Tensor | None
    image_grid_thw: Tensor | None

    @property
    def num_tokens(self) -> int:
        """How many tokens the model reads, padding left out."""
        return int(self.attention_mask.sum())

    def to(self, device: torch.device) -> PaddedBatch:
        """The same batch on another device."""
        return PaddedBatch(
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            position_ids=self.position_ids.to(device),
            score_positions=self.score_positions.to(device),
            pixel_values=_moved(self.pixel_values, device),
            image_grid_thw=_moved(self.image_grid_thw, device),
        )


def assign_rows(lengths: Sequence[int], *, token_budget: int) -> list[list[int]]:
    """Which trees share a packed row: first-fit decreasing on the trees' lengths.

    Returns indices by row, ascending in each; a tree over the budget has a row to itself. The
    same lengths give the same rows always.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = next((r for r, free in enumerate(room) if free >= lengths[index]), None)
        if fitting is None:
            rows.append([index])
            room.append(token_budget - lengths[index])
        else:
            rows[fitting].append(index)
            room[fitting] -= lengths[index]
    return [sorted(row) for row in rows]


def row_cost(tree: Tree, *, packed: bool) -> int:
    """How many tokens a tree takes of a row: its own when packed, padded prompts and all if not."""
    if packed:
        return len(tree)
    return len(tree.branches) * (len(tree.prefix) + max(len(branch) for branch in tree.branches))


def split_tree(tree: Tree, *, token_budget: int, packed: bool) -> list[Tree]:
    """The tree as trees of neighbouring branches that fit the budget or have one branch."""
    if row_cost(tree, packed=packed) <= token_budget or len(tree.branches) == 1:
        return [tree]
    half = len(tree.branches) // 2
    return [
        piece
        for part in (slice(None, half), slice(half, None))
        for piece in split_tree(
            replace(
                tree,
                branches=tree.branches[part],
                truncated_tokens=tree.truncated_tokens[part],
            ),
            token_budget=token_budget,
            packed=packed,
        )
    ]


def pack(
    trees: Sequence[Tree],
    preparation: PreparesPictures | None,
    *,
    encoded: Mapping[str, Tensor] | None = None,
) -> PackedBatch:
    """Lays the trees end to end: each one's prefix, then its branches.

    `encoded` are pictures encoded ahead, [M, F] by their sha-256, if there are any.
    """
    spans = [span for tree in trees for span in (tree.prefix, *tree.branches)]
    structure = _structure(trees)
    positions = torch.from_numpy(np.concatenate([span.positions for span in spans], axis=1))
    pixels: tuple[Tensor | None, Tensor | None] = (None, None)
    if encoded is None:
        pixels = _pictures(spans, preparation)
    return PackedBatch(
        input_ids=torch.from_numpy(np.concatenate([span.ids for span in spans]))[None],
        position_ids=positions if len(positions) == 1 else positions[:, None],
        structure=structure,
        score_positions=torch.tensor(
            [branch.end - 1 for tree in structure for branch in tree.branches]
        ),
        pixel_values=pixels[0],
        image_grid_thw=pixels[1],
        encoded_pictures=None if encoded is None else _encoded(spans, encoded),
    )


def pad(trees: Sequence[Tree], preparation: PreparesPictures | None) -> PaddedBatch:
    """Lays every response out with its prompt, as trainers without packing do."""
    rows = [(tree.prefix, branch) for tree in trees for branch in tree.branches]
    lengths = torch.tensor([len(prefix) + len(branch) for prefix, branch in rows])
    num_axes = len(rows[0][0].positions)
    shape = (len(rows), int(lengths.max()))
    input_ids = torch.zeros(shape, dtype=torch.long)
    position_ids = torch.zeros((num_axes, *shape), dtype=torch.long)
    for index, (prefix, branch) in enumerate(rows):
        length = int(lengths[index])
        input_ids[index, :length] = torch.from_numpy(np.concatenate([prefix.ids, branch.ids]))
        position_ids[:, index, :length] = torch.from_numpy(
            np.concatenate([prefix.positions, branch.positions], axis=1)
        )
    pixel_values, image_grid_thw = _pictures([span for row in rows for span in row], preparation)
    return PaddedBatch(
        input_ids=input_ids,
        attention_mask=(torch.arange(shape[1])[None] < lengths[:, None]).long(),
        position_ids=position_ids[0] if num_axes == 1 else position_ids,
        score_positions=lengths - 1,
        pixel_values=pixel_values,
        image_grid_thw=image_grid_thw,
    )


def _structure(trees: Sequence[Tree]) -> tuple[TreeInterval, ...]:
    intervals = []
    start = 0
    for tree in trees:
        ends = list(accumulate((len(s) for s in (tree.prefix, *tree.branches)), initial=start))
        parts = [Interval(a, b) for a, b in pairwise(ends)]
        intervals.append(TreeInterval(parts[0], tuple(parts[1:])))
        start = ends[-1]
    return tuple(intervals)


def _pictures(
    spans: Sequence[Span], preparation: PreparesPictures | None
) -> tuple[Tensor | None, Tensor | None]:
    """Patches [P, D] and grids [I, 3] of all spans in order; each picture is decoded once."""
    pictures = [picture for span in spans for picture in span.pictures]
    if not pictures:
        return None, None
    assert preparation is not None
    return picture_tensors(pictures, preparation)


def picture_tensors(
    pictures: Sequence[Picture], preparation: PreparesPictures
) -> tuple[Tensor, Tensor]:
    """Patches [P, D] and grids [I, 3] of pictures in their order; each is decoded once."""
    patches = {picture: preparation.prepare(picture) for picture in dict.fromkeys(pictures)}
    return (
        torch.from_numpy(np.concatenate([patches[picture] for picture in pictures])),
        torch.tensor([preparation.grid(picture) for picture in pictures]),
    )


def _encoded(spans: Sequence[Span], encoded: Mapping[str, Tensor]) -> Tensor | None:
    """The pictures of all spans, encoded ahead, in order."""
    tensors = [encoded[picture.sha256] for span in spans for picture in span.pictures]
    return torch.cat(tensors) if tensors else None


def _moved(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)
