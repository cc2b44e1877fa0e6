"""The trainer as an `interfaces.RewardFitter`: pairs in, a trained scorer out, in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.sources.config import SourceConfig
from vlreward.sources.write import write_parquet
from vlreward.training.config import StageConfig, TrainConfig
from vlreward.training.run import train
from vlreward.training.setup import is_selected


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerFitter:
    """Trains as a recipe says, on the pairs that it is given, without validation.

    Each fit has a subfolder of its own, named by its pairs in their order and its seed: the pairs
    as Parquet in `pairs.parquet`, the training run in `run`. The same fit again resumes there, and
    loads the model if the run was finished.
    """

    recipe: TrainConfig
    """Its data, validation, output and seed are replaced."""
    folder: Path

    def fit(self, pairs: Sequence[PreferencePair], *, seed: int) -> RewardModel:
        """The reward model trained on the pairs; raises as `train` does.

        Stages for which there are no pairs, such as one on pictures alone where the pairs have
        none, are left out.
        """
        folder = self.folder / _digest(pairs, seed=seed)
        data = folder / "pairs.parquet"
        if not data.exists():
            write_parquet(pairs, data)
        known = {pair.origin.source for pair in pairs}
        config = replace(
            self.recipe,
            data=(SourceConfig(path=str(data)),),
            validation=(),
            validate_every_steps=0,
            weights={name: weight for name, weight in self.recipe.weights.items() if name in known},
            best_by=None,
            patience=0,
            stages=_stages_with_pairs(self.recipe.stages, pairs) or self.recipe.stages,
            output=str(folder / "run"),
            seed=seed,
        )
        return train(config)


def _stages_with_pairs(
    stages: Sequence[StageConfig], pairs: Sequence[PreferencePair]
) -> tuple[StageConfig, ...]:
    return tuple(stage for stage in stages if any(is_selected(pair, stage) for pair in pairs))


def _digest(pairs: Sequence[PreferencePair], *, seed: int) -> str:
    digest = hashlib.sha256(str(seed).encode())
    for pair in pairs:
        digest.update(pair.id.encode())
    return digest.hexdigest()[:16]
