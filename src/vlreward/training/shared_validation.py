"""Validation by several processes: each runs its part of the pairs, all know all margins."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from vlreward.errors import NonFiniteError
from vlreward.records import PreferencePair
from vlreward.training.pairwise import PairwiseObjective
from vlreward.training.processes import Processes

_PAIRS_OF_A_PROCESS = 32
"""At a time; rows of a round are shared out among these."""


@torch.no_grad()
def margins_together(
    pairs: Sequence[PreferencePair],
    *,
    objective: PairwiseObjective,
    processes: Processes,
    advance: Callable[[], None],
) -> list[float]:
    """r_chosen − r_rejected of each pair, in their order, the same list in every process.

    The objective says which part is this process's. Raises NonFiniteError, in all of them.
    """
    found: dict[str, float] = {}
    network = objective.network
    was_training = network.training
    network.eval()
    try:
        step = _PAIRS_OF_A_PROCESS * processes.count
        for start in range(0, len(pairs), step):
            batch = pairs[start : start + step]
            for row in objective.make_rows(batch):
                rewards_R = network(row.batch.to(network.device))
                margin_P = rewards_R[row.chosen_P] - rewards_R[row.rejected_P]
                found.update(zip(row.pair_ids, margin_P.tolist(), strict=True))
            for _ in batch:
                advance()
    finally:
        network.train(was_training)
    margins: dict[str, float] = {}
    for part in processes.gather(found):
        margins |= part
    _refuse_not_finite(margins)
    return [margins[pair.id] for pair in pairs]


def _refuse_not_finite(margins: dict[str, float]) -> None:
    broken = [name for name, margin in margins.items() if not math.isfinite(margin)]
    if broken:
        raise NonFiniteError(
            "reward-not-finite",
            value=f"NaN or infinity among the rewards of {len(broken)} pairs, first {broken[0]}",
            place="validation",
            expected="finite numbers",
            mend="The training has diverged: go back to a checkpoint, with a lower learning rate.",
        )
