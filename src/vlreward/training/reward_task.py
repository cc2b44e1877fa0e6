"""Training a reward model, as the trainer's task: pairs in, a RewardModel out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlreward.collation.rounds import Part
from vlreward.modeling.checkpoints import RewardSettings
from vlreward.modeling.lora import has_adapters, merge_adapters
from vlreward.modeling.network import RewardNetwork
from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.training.card import model_card
from vlreward.training.config import TrainConfig
from vlreward.training.loop import StagePlan
from vlreward.training.objectives import PairwiseLoss
from vlreward.training.pairwise import PairwiseObjective
from vlreward.training.processes import Processes
from vlreward.training.setup import RunData, build_model, load_finished, select_pairs
from vlreward.training.sharding import is_sharded, weights_for_first
from vlreward.training.shared_validation import margins_together
from vlreward.training.task import Measured
from vlreward.training.validation import describe_validation, validate, validation_of

_MAX_PAIRS_FOR_STATISTICS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardTask:
    """See `task.Task`."""

    config: TrainConfig
    model: RewardModel
    data: RunData
    encoded: Mapping[str, Tensor] | None = None
    """Pictures encoded ahead, by their sha-256."""
    words: Mapping[str, float] = field(default_factory=dict)
    """What words alone cost by pair id, where pairs are weighed by it."""
    processes: Processes

    @property
    def network(self) -> RewardNetwork:
        """The reward network."""
        return self.model.checkpoint.network

    @property
    def fixed_weights(self) -> frozenset[str]:
        """With adapters, all that is frozen: the base model is where it was."""
        if not has_adapters(self.network.backbone):
            return frozenset()
        return frozenset(n for n, p in self.network.named_parameters() if not p.requires_grad)

    def objective(self, _stage: int, /) -> PairwiseObjective:
        """The Bradley-Terry loss on the model's own rows, in every stage."""
        wanted = self.config.objective
        return PairwiseObjective(
            network=self.network,
            encoder=self.model.encoder,
            loss=PairwiseLoss(centering=wanted.centering, label_smoothing=wanted.label_smoothing),
            token_budget=self.config.collation.token_budget,
            packed=self.model.packed,
            use_margin=wanted.use_margin,
            encoded=self.encoded,
            words=self.words,
            part=Part(rank=self.processes.rank, num_parts=self.processes.count),
        )

    @property
    def items_name(self) -> str:
        """What is counted."""
        return "pairs"

    def plan(self, stage: int) -> StagePlan[PreferencePair]:
        """The stage's pairs; those of one prompt stay together."""
        wanted = self.config.stages[stage]
        pairs = select_pairs(self.data.train.pairs, wanted, weights=self.config.weights)
        return StagePlan(
            stage=wanted,
            items=pairs,
            groups=[pair.prompt for pair in pairs],
            seed=self.config.seed + stage,
        )

    def describe_data(self) -> Mapping[str, Any]:
        """How many pairs there are of which kind."""
        train = self.data.train
        return {
            "num_train_pairs": len(train.pairs),
            "num_multimodal_pairs": sum(pair.has_pictures for pair in train.pairs),
            "num_validation_pairs": len(self.data.validation.pairs),
            "num_refused_rows": len(self.data.refused),
            "num_truncated_pairs": len(self.data.truncated),
            "num_train_tokens": train.num_tokens,
            "data_sha256": self.data.sha256,
        }

    def num_to_validate(self, _stage: int, /) -> int:
        """Validation pairs."""
        return len(self.data.validation.pairs)

    def validate(self, stage: int, /, *, advance: Callable[[], None]) -> Measured:
        """Accuracy on the validation pairs, by task; each process computes its part."""
        pairs = self.data.validation.pairs
        if self.processes.count == 1:
            found = validate(self.model, pairs, advance=advance)
        else:
            objective = replace(self.objective(stage), encoded=None)
            margins = margins_together(
                pairs, objective=objective, processes=self.processes, advance=advance
            )
            found = validation_of(pairs, margins)
        overall = found.overall
        return Measured(
            fields=describe_validation(found),
            curves={"accuracy": overall.share.accuracy, "loss": overall.loss},
            said=f"validation accuracy {overall.share} on {overall.share.num_all}.",
        )

    def export(
        self, folder: Path, *, measured: Mapping[str, Any] | None, advance: Callable[[], None]
    ) -> RewardModel:
        """The model with its training's settings and a card, adapters merged, in the folder."""
        if is_sharded(self.network):
            return self._export_sharded(folder, measured=measured, advance=advance)
        merge_adapters(self.network.backbone)
        model = self.model.with_settings(self._settings(advance))
        if not folder.exists():
            model.save(folder, card=self._card(model.settings, measured))
        return model

    def _card(self, settings: RewardSettings, measured: Mapping[str, Any] | None) -> str:
        return model_card(self.config, self.describe_data(), settings, measured)

    def _export_sharded(
        self, folder: Path, *, measured: Mapping[str, Any] | None, advance: Callable[[], None]
    ) -> RewardModel:
        """Written by the first process, which gets all weights; then loaded by each."""
        settings = self._settings(advance)
        weights = weights_for_first(self.network, is_first=self.processes.is_first)
        if self.processes.is_first and not folder.exists():
            model = build_model(self.config, device=torch.device("cpu"))
            model.checkpoint.network.load_state_dict(weights)
            merge_adapters(model.checkpoint.network.backbone)
            model.with_settings(settings).save(folder, card=self._card(settings, measured))
        self.processes.wait()
        return load_finished(folder, config=self.config)

    def _settings(self, advance: Callable[[], None]) -> RewardSettings:
        """The mean and spread of rewards over some training pairs, and how rows were made."""
        pairs = self.data.train.pairs
        sample = pairs[:: math.ceil(len(pairs) / _MAX_PAIRS_FOR_STATISTICS)]
        rewards = []
        for scores in self.model.score_many((p.prompt, [p.chosen, p.rejected]) for p in sample):
            rewards += [score.value for score in scores]
            advance()
        collation = self.config.collation
        return replace(
            self.model.settings,
            reward_mean=statistics.fmean(rewards),
            reward_std=statistics.pstdev(rewards),
            max_length=collation.max_length,
            overflow=collation.overflow,
            min_pixels=collation.min_pixels,
            max_pixels=collation.max_pixels,
        )
