"""The frozen part of the way from pixels to the language model, apart from the trained projector.

A Qwen vision tower ends in its projector (`visual.merger`): a norm, four neighbouring patches side
by side, two layers. What goes in depends on the picture alone as long as the encoder is frozen.

Shapes: P patches, I pictures, M picture tokens, F = four times the encoder's width, C the language
model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

_SEPARABLE_TYPES = ("qwen2_vl", "qwen2_5_vl")


def explain_inseparable(config: PreTrainedConfig) -> str | None:
    """Why this backbone's encoder cannot be run apart from its projector, or None if it can."""
    if config.model_type in _SEPARABLE_TYPES:
        return None
    return f"pictures of a {config.model_type} do not enter by one projector alone"


@torch.no_grad()
def encode_pictures(
    backbone: PreTrainedModel, pixel_values: Tensor, grids: Tensor
) -> tuple[Tensor, ...]:
    """The projector's input for each picture, [M, F], its tokens in reading order.

    `pixel_values` [P, D] and `grids` [I, 3] are those of a `PackedBatch`.
    """
    with _projector_passes_on(backbone.visual.merger):
        return tuple(backbone.get_image_features(pixel_values, grids).pooler_output)


def project_pictures(backbone: PreTrainedModel, encoded_MF: Tensor) -> Tensor:
    """What the projector makes of encoded pictures: [M, C], which stand for them in the row."""
    merger = backbone.visual.merger
    num_patches = merger.hidden_size // _width(merger)
    patches = encoded_MF.to(next(merger.parameters()).dtype).view(
        len(encoded_MF) * num_patches, _width(merger)
    )
    projected_MC: Tensor = merger(patches)
    return projected_MC


@contextmanager
def _projector_passes_on(merger: nn.Module) -> Iterator[None]:
    """For a while, the projector lays its patches side by side and does nothing else."""

    def fold(patches: Tensor) -> Tensor:
        return patches.reshape(-1, merger.hidden_size)

    merger.forward = fold
    try:
        yield
    finally:
        del merger.forward


def _width(merger: nn.Module) -> int:
    """The encoder's width, from the norm that the projector begins with."""
    return int(merger.ln_q.weight.shape[0])
