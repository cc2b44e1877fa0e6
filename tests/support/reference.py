"""The plain computation: transformers' own model on padded rows, its own positions, no packing.

It shares no code with the packed path but the tokens of each row and the prepared pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from vlreward.collation.encoding import Span, Tree
from vlreward.collation.picture_preparation import PicturePreparation


def plain_model(folder: Path) -> PreTrainedModel:
    """The folder's backbone as transformers loads it, in float32 with SDPA."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    return model.eval()


def plain_rewards(
    model: PreTrainedModel,
    head: nn.Module,
    trees: Sequence[Tree],
    *,
    preparation: PicturePreparation | None,
) -> Tensor:
    """Rewards of all responses in order, each row being prompt and response, right-padded."""
    rows = [(tree.prefix, branch) for tree in trees for branch in tree.branches]
    ids = [torch.from_numpy(_joined(row)) for row in rows]
    lengths = torch.tensor([len(row) for row in ids])
    input_ids = nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=0)
    mask = (torch.arange(input_ids.shape[1])[None] < lengths[:, None]).long()
    keywords = {"input_ids": input_ids, "attention_mask": mask}
    pictures = [p for row in rows for span in row for p in span.pictures]
    if preparation is not None and pictures:
        keywords["pixel_values"] = torch.cat(
            [torch.from_numpy(preparation.prepare(picture)) for picture in pictures]
        )
        keywords["image_grid_thw"] = torch.tensor([preparation.grid(p) for p in pictures])
        keywords["mm_token_type_ids"] = (input_ids == model.config.image_token_id).int()
    hidden = model(**keywords, use_cache=False).last_hidden_state
    last = hidden[torch.arange(len(rows)), lengths - 1]
    rewards: Tensor = head(last)
    return rewards


def _joined(row: tuple[Span, Span]) -> object:
    import numpy as np

    return np.concatenate([row[0].ids, row[1].ids])
