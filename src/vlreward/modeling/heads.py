"""From an answer's last hidden state to one number, in float32 always.

Shapes: R responses, C width of the backbone.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

HeadKind = Literal["linear", "mlp"]


class LinearHead(nn.Module):
    """The paper's head: one linear layer. Its parameters are `summary.weight` and `.bias`."""

    kind: HeadKind = "linear"

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.summary = nn.Linear(hidden_size, 1, dtype=torch.float32)

    def forward(self, hidden_RC: Tensor) -> Tensor:
        """Hidden states [R, C] in any precision → rewards [R] in float32."""
        rewards_R1: Tensor = self.summary(hidden_RC.float())
        return rewards_R1.squeeze(-1)


class MlpHead(nn.Module):
    """Two layers with SiLU between, as in BaseReward (arXiv 2509.16127)."""

    kind: HeadKind = "mlp"

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(hidden_size, hidden_size, dtype=torch.float32)
        self.summary = nn.Linear(hidden_size, 1, dtype=torch.float32)

    def forward(self, hidden_RC: Tensor) -> Tensor:
        """Hidden states [R, C] in any precision → rewards [R] in float32."""
        inner_RC = nn.functional.silu(self.hidden(hidden_RC.float()))
        rewards_R1: Tensor = self.summary(inner_RC)
        return rewards_R1.squeeze(-1)


def build_head(kind: HeadKind, *, hidden_size: int, seed: int) -> LinearHead | MlpHead:
    """A new head: weights of standard deviation 1/√(C+1) (Stiennon et al. 2020), biases zero."""
    head = LinearHead(hidden_size) if kind == "linear" else MlpHead(hidden_size)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, (hidden_size + 1) ** -0.5, generator=generator)
            else:
                parameter.zero_()
    return head
