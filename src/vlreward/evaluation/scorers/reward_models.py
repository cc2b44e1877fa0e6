"""Reward models with a value head or a sequence classifier, ours and others'."""

from __future__ import annotations

from dataclasses import replace

from vlreward.evaluation.scorers.config import WeightsConfig
from vlreward.modeling.encoders import encoder_for
from vlreward.scoring import RewardModel


def load_reward_model(weights: WeightsConfig) -> RewardModel:
    """The model with the configured limits, each one that is not named being its training's.

    Raises CheckpointError if the folder cannot be used.
    """
    model = RewardModel.load(
        weights.path, revision=weights.revision, dtype=weights.dtype, device=weights.device
    )
    names = ("min_pixels", "max_pixels", "max_length")
    chosen = {name: value for name in names if (value := getattr(weights, name)) is not None}
    if not chosen:
        return model
    collation = replace(model.settings.collation(), **chosen)
    return RewardModel(
        model.checkpoint,
        encoder_for(model.checkpoint, collation),
        packed=model.packed,
        token_budget=model.token_budget,
    )
