"""The reward network: packed or padded comparisons in, one float32 reward a response out.

Shapes: R responses of a batch, C width of the backbone, T tokens of a row, M picture tokens in it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vlreward.collation.packing import PackedBatch, PaddedBatch
from vlreward.modeling import backbones
from vlreward.modeling.attention import TreeStructure
from vlreward.modeling.frozen_vision import project_pictures
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
        if isinstance(batch, PaddedBatch):
            return self._padded(batch)
        embedded_1TC = None
        if batch.encoded_pictures is not None:
            picture_MC = project_pictures(self.backbone, batch.encoded_pictures)
            embedded_1TC = self._embed(batch, picture_MC)
        return packed_states(
            self.backbone, batch, embedded_1TC=embedded_1TC, read_at=batch.score_positions
        )

    def token_states(self, batch: PackedBatch, *, picture_MC: Tensor | None = None) -> Tensor:
        """The final hidden states [T, C] of all tokens of a packed row.

        `picture_MC` are the row's `picture_states`, if they are known already.
        """
        picture = None if picture_MC is None else self._embed(batch, picture_MC)
        return packed_states(self.backbone, batch, embedded_1TC=picture)

    def picture_states(self, pixel_values: Tensor, *, grids: Tensor) -> Tensor:
        """The projector's outputs [M, C] for pictures, which stand for them in the row.

        `pixel_values` [P, D] and `grids` [I, 3] are those of a `PackedBatch`. Not for Qwen3-VL,
        whose pictures also enter at later layers.
        """
        found = self.backbone.get_image_features(pixel_values, grids)
        assert getattr(found, "deepstack_features", None) is None, "pictures enter at later layers"
        return torch.cat(list(found.pooler_output))

    def _embed(self, batch: PackedBatch, picture_MC: Tensor) -> Tensor:
        """The embeddings [1, T, C] of a row, its picture tokens replaced."""
        embedded_1TC: Tensor = self.backbone.get_input_embeddings()(batch.input_ids)
        is_picture_1T1 = (batch.input_ids == self.backbone.config.image_token_id)[..., None]
        assert int(is_picture_1T1.sum()) == len(picture_MC), "states of other pictures"
        return embedded_1TC.masked_scatter(is_picture_1T1, picture_MC)

    def _padded(self, batch: PaddedBatch) -> Tensor:
        hidden_RTC = padded_states(self.backbone, batch)
        rows = torch.arange(len(batch.score_positions), device=hidden_RTC.device)
        return hidden_RTC[rows, batch.score_positions]


def packed_states(
    backbone: PreTrainedModel,
    batch: PackedBatch,
    *,
    embedded_1TC: Tensor | None = None,
    read_at: Tensor | None = None,
) -> Tensor:
    """The final hidden states [T, C] of all tokens of a packed row, or those at `read_at` [R, C].

    The backbone must be set to tree attention. `embedded_1TC` are the row's embeddings, pictures
    in their places, if they are known already.
    """
    tree = TreeStructure(trees=batch.structure, read_at=read_at)
    read = (
        {"input_ids": batch.input_ids, **_picture_keywords(backbone, batch)}
        if embedded_1TC is None
        else {"inputs_embeds": embedded_1TC}
    )
    hidden_1TC: Tensor = backbone(
        **read, position_ids=batch.position_ids, use_cache=False, tree=tree
    ).last_hidden_state
    assert tree.num_calls > 0, "the backbone did not run tree attention"
    return hidden_1TC[0] if read_at is None else hidden_1TC[0, read_at]


def padded_states(backbone: PreTrainedModel, batch: PaddedBatch) -> Tensor:
    """The final hidden states [R, T, C] of padded rows, by transformers' own attention."""
    with backbones.plain_attention(backbone):
        hidden_RTC: Tensor = backbone(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
            **_picture_keywords(backbone, batch),
        ).last_hidden_state
    return hidden_RTC


def _picture_keywords(
    backbone: PreTrainedModel, batch: PackedBatch | PaddedBatch
) -> dict[str, Tensor]:
    return backbones.picture_keywords(
        backbone.config,
        input_ids=batch.input_ids,
        pixel_values=batch.pixel_values,
        image_grid_thw=batch.image_grid_thw,
    )


def set_gradient_checkpointing(network: RewardNetwork) -> None:
    """Recomputes each layer in the backward pass; gradients stay bitwise the same."""
    backbone = network.backbone
    older = backbone.gradient_checkpointing_enable  # its name before transformers 5.20
    enable = getattr(backbone, "activation_checkpointing_enable", older)
    enable({"use_reentrant": False})
