"""Everything that decides a training run.

What the paper (arXiv 2505.07263) fixes: pairwise loss, AdamW, two stages of two epochs, frozen
vision encoder. Learning rates, batch size, lengths and the rest are not published: those values
are our choice, and their help says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vlreward.collation.config import CollationConfig
from vlreward.errors import ConfigError
from vlreward.modeling.config import ModelConfig
from vlreward.sources.config import SourceConfig

Selection = Literal["multimodal", "text", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig:
    """One pass of training with a fresh optimizer and schedule."""

    name: str
    """What logs call it."""
    select: Selection = "all"
    """Which pairs it trains on: those with pictures, those without, or all."""
    epochs: int = 2
    """Times each pair is used (the paper: 2)."""
    learning_rate: float = 1e-5
    """Peak learning rate (our choice)."""
    batch_size: int = 64
    """Comparisons in one optimizer step (our choice)."""
    warmup_ratio: float = 0.03
    """Share of the steps in which the rate rises from zero (our choice)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """AdamW (the paper's); every number here is our choice."""

    weight_decay: float = 0.0
    """Applied to matrices only, never to biases and norms."""
    beta1: float = 0.9
    """Decay of the gradient's mean."""
    beta2: float = 0.95
    """Decay of the gradient's square."""
    epsilon: float = 1e-8
    """Added to the denominator."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"optimizer.{name}", value, "[0, 1)")
        _require(self.weight_decay >= 0, "optimizer.weight_decay", self.weight_decay, "0 or more")
        _require(self.epsilon > 0, "optimizer.epsilon", self.epsilon, "above 0")
        norm = self.max_gradient_norm
        _require(norm > 0, "optimizer.max_gradient_norm", norm, "above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """The Bradley-Terry loss of the paper, and its optional terms (off by default)."""

    use_margin: bool = False
    """Ask for a difference of at least the pair's `margin`, where it has one."""
    centering: float = 0.0
    """Weight of (chosen + rejected)², which keeps rewards near zero."""
    label_smoothing: float = 0.0
    """Probability that a label is taken to be wrong."""

    def __post_init__(self) -> None:
        _require(self.centering >= 0, "objective.centering", self.centering, "0 or more")
        smoothing = self.label_smoothing
        _require(0 <= smoothing < 0.5, "objective.label_smoothing", smoothing, "[0, 0.5)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A training run: data in, run folder out."""

    output: str
    """The run folder; the same command run again resumes there."""
    data: tuple[SourceConfig, ...]
    """Preference data to train on."""
    validation: tuple[SourceConfig, ...] = ()
    """Preference data to measure on; never trained on."""
    model: ModelConfig = field(default_factory=ModelConfig)
    collation: CollationConfig = field(default_factory=CollationConfig)
    stages: tuple[StageConfig, ...] = (
        StageConfig(name="multimodal", select="multimodal", learning_rate=1e-5),
        StageConfig(name="multimodal-and-text", select="all", learning_rate=2e-6),
    )
    """The paper's two stages; their learning rates are our choice."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    seed: int = 0
    """Decides the order of the data and every random number."""
    log_every_steps: int = 1
    """Steps between two lines of `events.jsonl`."""
    validate_every_steps: int = 0
    """Steps between two validations; 0 validates at the end of each stage only."""
    save_every_steps: int = 500
    """Steps between two checkpoints; one is also written at the end of each stage."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay."""
    max_refused_share: float = 0.05
    """Stop if more than this share of the training rows cannot be used."""

    def __post_init__(self) -> None:
        _require(bool(self.data), "data", "none", "at least one source")
        _require(bool(self.stages), "stages", "none", "at least one stage")
        _require(self.keep_checkpoints >= 1, "keep_checkpoints", self.keep_checkpoints, "1 or more")
        _require(self.save_every_steps >= 1, "save_every_steps", self.save_every_steps, "1 or more")
        _require(self.log_every_steps >= 1, "log_every_steps", self.log_every_steps, "1 or more")
        every = self.validate_every_steps
        _require(every >= 0, "validate_every_steps", every, "0 or more")
        share = self.max_refused_share
        _require(0 <= share <= 1, "max_refused_share", share, "[0, 1]")
        for index, stage in enumerate(self.stages):
            place = f"stages.{index}"
            _require(stage.epochs >= 1, f"{place}.epochs", stage.epochs, "1 or more")
            _require(stage.batch_size >= 1, f"{place}.batch_size", stage.batch_size, "1 or more")
            _require(
                0 < stage.learning_rate < 1, f"{place}.learning_rate", stage.learning_rate, "(0, 1)"
            )
            _require(
                0 <= stage.warmup_ratio <= 1, f"{place}.warmup_ratio", stage.warmup_ratio, "[0, 1]"
            )


def _require(holds: bool, place: str, value: object, expected: str) -> None:  # noqa: FBT001
    if not holds:
        raise ConfigError(
            "config-value",
            value=value,
            place=place,
            expected=expected,
            mend="Change the value.",
        )
