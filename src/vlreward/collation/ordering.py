"""Which comparisons form a global batch: a pure function of the pairs' prompts, seed and epoch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch


def order_batches(
    group_of: Sequence[Hashable], *, batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """Shuffles comparisons into batches of `batch_size`; the last one may be smaller.

    `group_of` names each comparison's prompt. Comparisons of one prompt follow each other, so that
    they can share its tokens (a batch's end may part them); prompts come in random order.
    Every index appears exactly once.
    """
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(group_of):
        members.setdefault(group, []).append(index)
    groups = list(members.values())
    generator = torch.Generator().manual_seed(_mix(seed, epoch))
    order = torch.randperm(len(groups), generator=generator).tolist()
    indices = [index for group in order for index in groups[group]]
    return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]


def _mix(seed: int, epoch: int) -> int:
    """One generator seed for (seed, epoch); different pairs give different seeds."""
    return (seed * 1_000_003 + epoch) % 2**63
