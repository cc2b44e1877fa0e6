"""The reward network: packed or padded comparisons in, one float32 reward a response out.

Shapes: R responses of a batch, C width of the backbone, T tokens of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vlreward.collation.packing import PackedBatch, PaddedBatch
from vlreward.modeling import backbones
from vlreward.modeling.attention import TreeStructure
from vlreward.modeling.heads import LinearHead, MlpHead


class RewardNetwork(nn.Module):
    """A backbone without LM head and a scalar head (paper, section 3.2).

    The backbone must be set to tree attention (`backbones.use_tree_attention`) before it is given
    packed batches; padded ones it reads with transformers' own attention.
    """

    def __init__(self, backbone: PreTrainedModel, head: LinearHead | MlpHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @property
    def device(self) -> torch.device:
        """Where the head's weights lie."""
        return self.head.summary.weight.device

    def forward(self, batch: PackedBatch | PaddedBatch) -> Tensor:
        """Rewards [R] in float32, in the order of the batch's `score_positions`."""
        rewards_R: Tensor = self.head(self.hidden_states(batch))
        return rewards_R

    def hidden_states(self, batch: PackedBatch | PaddedBatch) -> Tensor:
        """The final hidden states [R, C] where the responses end."""
        if isinstance(batch, PackedBatch):
            return self.token_states(batch)[batch.score_positions]
        return self._padded(batch)

    def token_states(self, batch: PackedBatch) -> Tensor:
        """The final hidden states [T, C] of all tokens of a packed row."""
        tree = TreeStructure(trees=batch.structure)
        hidden_1TC: Tensor = self.backbone(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            use_cache=False,
            tree=tree,
            **_picture_keywords(batch),
        ).last_hidden_state
        assert tree.num_calls > 0, "the backbone did not run tree attention"
        return hidden_1TC[0]

    def _padded(self, batch: PaddedBatch) -> Tensor:
        with backbones.plain_attention(self.backbone):
            hidden_RTC: Tensor = self.backbone(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                use_cache=False,
                **_picture_keywords(batch),
            ).last_hidden_state
        rows = torch.arange(len(batch.score_positions), device=hidden_RTC.device)
        return hidden_RTC[rows, batch.score_positions]


def _picture_keywords(batch: PackedBatch | PaddedBatch) -> dict[str, Tensor]:
    if batch.pixel_values is None or batch.image_grid_thw is None:
        return {}
    return {"pixel_values": batch.pixel_values, "image_grid_thw": batch.image_grid_thw}


def set_gradient_checkpointing(network: RewardNetwork) -> None:
    """Recomputes each layer in the backward pass; gradients stay bitwise the same."""
    backbone = network.backbone
    older = backbone.gradient_checkpointing_enable  # its name before transformers 5.20
    enable = getattr(backbone, "activation_checkpointing_enable", older)
    enable({"use_reentrant": False})
