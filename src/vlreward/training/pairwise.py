"""The reward model's objective: in each pair the chosen response is to score higher.

Shapes: R rewards of a row, P pairs of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn.functional import softplus

from vlreward.collation.encoding import Encoder
from vlreward.collation.rounds import WHOLE, Part
from vlreward.modeling.network import RewardNetwork
from vlreward.records import PreferencePair
from vlreward.training.comparisons import PairRow, rows_of_batch
from vlreward.training.loop import Cost
from vlreward.training.objectives import PairwiseLoss
from vlreward.training.shortcuts import weights_of


@dataclass(frozen=True, kw_only=True, slots=True)
class PairwiseObjective:
    """`PairwiseLoss` over packed or padded rows; see `loop.Objective`."""

    network: RewardNetwork
    encoder: Encoder
    loss: PairwiseLoss
    token_budget: int
    packed: bool
    use_margin: bool
    encoded: Mapping[str, Tensor] | None = None
    """Pictures encoded ahead, by their sha-256; without them, each step encodes its own."""
    words: Mapping[str, float] = field(default_factory=dict)
    """What words alone cost by pair id, for the weights of `shortcuts`; none are weighed without.
    """
    part: Part = WHOLE
    """Which part of every batch is this process's."""

    def make_rows(self, items: Sequence[PreferencePair]) -> list[PairRow]:
        """The rows of one global batch of pairs, or of this process's part of it."""
        return rows_of_batch(
            items,
            self.encoder,
            token_budget=self.token_budget,
            packed=self.packed,
            use_margin=self.use_margin,
            encoded=self.encoded,
            part=self.part,
        )

    def cost(self, row: PairRow) -> Cost:
        """The losses of the row's pairs; with `accuracy` and `mean_margin`."""
        rewards_R = self.network(row.batch.to(self.network.device))
        chosen_P, rejected_P = rewards_R[row.chosen_P], rewards_R[row.rejected_P]
        loss_P = self.loss(chosen_P, rejected_P, row.margin_P.to(rewards_R.device))
        difference_P = (chosen_P - rejected_P).detach()
        if self.words:
            own_P = softplus(-difference_P)
            loss_P = loss_P * weights_of(own_P, pair_ids=row.pair_ids, words=self.words)
        return Cost(
            loss=loss_P.sum(),
            totals={
                "accuracy": float((difference_P > 0).sum()),
                "mean_margin": float(difference_P.sum()),
            },
        )
