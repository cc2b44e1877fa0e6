"""What training minimises.

Shapes: P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True, kw_only=True, slots=True)
class PairwiseLoss:
    """−log σ(r_chosen − r_rejected) (paper, section 3.3), with three optional terms.

    A pair's margin, where it has one, is subtracted from the difference; `label_smoothing` ε
    mixes in the loss of the swapped pair; `centering` adds (r_chosen + r_rejected)² times itself
    (Eisenstein et al. 2023, as in TRL).
    """

    centering: float = 0.0
    label_smoothing: float = 0.0

    def __call__(self, chosen_P: Tensor, rejected_P: Tensor, margin_P: Tensor) -> Tensor:
        """Losses [P] in float32."""
        difference_P = chosen_P - rejected_P - margin_P
        loss_P = -(1 - self.label_smoothing) * logsigmoid(difference_P)
        if self.label_smoothing:
            loss_P = loss_P - self.label_smoothing * logsigmoid(-difference_P)
        if self.centering:
            loss_P = loss_P + self.centering * (chosen_P + rejected_P) ** 2
        return loss_P
