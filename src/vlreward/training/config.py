"""Everything that decides a training run.

What the paper (arXiv 2505.07263) fixes: pairwise loss, AdamW, two stages of two epochs, frozen
vision encoder. Learning rates, batch size, lengths and the rest are not published: those values
are our choice, and their help says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vlreward.collation.config import CollationConfig
from vlreward.errors import require
from vlreward.modeling.config import ModelConfig, ScratchConfig
from vlreward.sources.config import SourceConfig

Selection = Literal["multimodal", "text", "all"]
Metric = Literal["accuracy", "loss"]
"""What a validation measures."""
Tracker = Literal["tensorboard", "trackio", "wandb"]
_MOST_USES = 100.0
"""A weight above this is a slip."""


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
    """AdamW (the paper's), beside Muon on request; every number here is our choice."""

    muon: bool = False
    """Matrices between hidden states are stepped by Muon (Jordan 2024; `torch.optim.Muon` with its
    own momentum) instead, at AdamW's scale of updates (Liu et al. 2025, arXiv 2502.16982): for
    models trained from scratch, which learn with fewer steps so."""
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
            require(0 <= value < 1, place=f"optimizer.{name}", value=value, expected="[0, 1)")
        require(
            self.weight_decay >= 0,
            place="optimizer.weight_decay",
            value=self.weight_decay,
            expected="0 or more",
        )
        require(self.epsilon > 0, place="optimizer.epsilon", value=self.epsilon, expected="above 0")
        norm = self.max_gradient_norm
        require(norm > 0, place="optimizer.max_gradient_norm", value=norm, expected="above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """The Bradley-Terry loss of the paper, and its optional terms (off by default)."""

    use_margin: bool = False
    """Ask for a difference of at least the pair's `margin`, where it has one."""
    centering: float = 0.0
    """Weight of (chosen + rejected)², which keeps rewards near zero."""
    label_smoothing: float = 0.0
    """Probability that a label is taken to be wrong."""
    words_alone: str | None = None
    """A reward model that was trained on such pairs with `blind`: pairs with pictures that it
    orders wrongly by their words alone then count more, those that it orders rightly less
    (arXiv 2503.03122)."""

    def __post_init__(self) -> None:
        require(
            self.centering >= 0,
            place="objective.centering",
            value=self.centering,
            expected="0 or more",
        )
        smoothing = self.label_smoothing
        require(
            0 <= smoothing < 0.5,
            place="objective.label_smoothing",
            value=smoothing,
            expected="[0, 0.5)",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureCacheConfig:
    """The frozen vision encoder's outputs, computed once for each picture instead of at each step.

    They take four times the encoder's width for each visual token: 10 KB with Qwen2.5-VL-7B, 13 MB
    for a picture of 1,280 tokens. How much it is, is said before the encoding begins.
    """

    keep: Literal["nowhere", "memory", "disk"] = "nowhere"
    """Where they are kept; nowhere means that each step encodes its own pictures."""
    folder: str | None = None
    """Folder of those on disk; unset means `encoded-pictures` in the run folder. Runs with the same
    data, encoder and picture sizes may share one."""
    max_gib: float = 64.0
    """Refuse to begin if they take more."""

    def __post_init__(self) -> None:
        require(self.max_gib > 0, place="pictures.max_gib", value=self.max_gib, expected="above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """What every training run has, whatever it minimises."""

    output: str
    """The run folder; the same command run again resumes there."""
    stages: tuple[StageConfig, ...]
    """Passes over the data, one after the other."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    seed: int = 0
    """Decides the order of the data and every random number."""
    deterministic: bool = False
    """On a GPU, use only kernels that give the same bits each time, which are slower; a run there
    then ends, and resumes, bit for bit. On the CPU runs do so anyway."""
    log_every_steps: int = 1
    """Steps between two lines of `events.jsonl`."""
    validate_every_steps: int = 0
    """Steps between two validations; 0 validates at the end of each stage only."""
    best_by: Metric | None = None
    """Export the weights that validated best by this, instead of the last ones."""
    patience: int = 0
    """End a stage when so many validations in a row were no better by `best_by`; 0 never does."""
    save_every_steps: int = 500
    """Steps between two checkpoints; one is also written at the end of each stage."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay."""
    trackers: tuple[Tracker, ...] = ()
    """Where the curves go live, beside the run folder: tensorboard writes into it (needs
    vlreward[track]); trackio and wandb go where their own settings say (vlreward[trackio],
    vlreward[wandb])."""

    def __post_init__(self) -> None:
        require(bool(self.stages), place="stages", value="none", expected="at least one stage")
        for name in ("keep_checkpoints", "save_every_steps", "log_every_steps"):
            value = getattr(self, name)
            require(value >= 1, place=name, value=value, expected="1 or more")
        require(0 <= self.seed < 2**32, place="seed", value=self.seed, expected="[0, 2**32)")
        every = self.validate_every_steps
        require(every >= 0, place="validate_every_steps", value=every, expected="0 or more")
        require(self.patience >= 0, place="patience", value=self.patience, expected="0 or more")
        holds = not self.patience or (self.best_by is not None and every > 0)
        expected = "0 without best_by and validate_every_steps"
        require(holds, place="patience", value=self.patience, expected=expected)
        trackers = self.trackers
        holds = len(set(trackers)) == len(trackers)
        require(holds, place="trackers", value=", ".join(trackers), expected="each once")
        for index, stage in enumerate(self.stages):
            _check_stage(stage, place=f"stages.{index}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(RunConfig):
    """A reward model's training: preference data in, run folder out."""

    stages: tuple[StageConfig, ...] = (
        StageConfig(name="multimodal", select="multimodal", learning_rate=1e-5),
        StageConfig(name="multimodal-and-text", select="all", learning_rate=2e-6),
    )
    """The paper's two stages; their learning rates are our choice."""
    data: tuple[SourceConfig, ...]
    """Preference data to train on."""
    validation: tuple[SourceConfig, ...] = ()
    """Preference data to measure on; never trained on."""
    weights: dict[str, float] = field(default_factory=dict)
    """How often an epoch uses the pairs of a source, by its name: twice with 2, every second one
    with 0.5, none with 0. A source that is not named has 1."""
    model: ModelConfig = field(default_factory=ModelConfig)
    collation: CollationConfig = field(default_factory=CollationConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    pictures: PictureCacheConfig = field(default_factory=PictureCacheConfig)
    blind: bool = False
    """Put words in the place of all pictures: to learn what words alone decide (see
    `objective.words_alone`). No pair has pictures then, so stages must select `all`."""
    max_refused_share: float = 0.05
    """Stop if more than this share of the training rows cannot be used, or of the validation
    pairs are trained on."""

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        holds = not (self.blind and self.objective.words_alone)
        expected = "unset with blind, where all is words"
        words = self.objective.words_alone
        require(holds, place="objective.words_alone", value=words, expected=expected)
        require(bool(self.data), place="data", value="none", expected="at least one source")
        holds = self.best_by is None or bool(self.validation)
        expected = "unset without validation data"
        require(holds, place="best_by", value=self.best_by, expected=expected)
        for name, weight in self.weights.items():
            holds = 0 <= weight <= _MOST_USES
            expected = f"[0, {_MOST_USES:g}]"
            require(holds, place=f"weights.{name}", value=weight, expected=expected)
        share = self.max_refused_share
        require(0 <= share <= 1, place="max_refused_share", value=share, expected="[0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig(RunConfig):
    """A base model's training on the miniature world: pictures in, run folder out.

    The first stage teaches the vision encoder, the projector and the embeddings to name what is
    drawn where; the others teach the language model to answer.
    """

    scratch: ScratchConfig = field(default_factory=ScratchConfig)
    collation: CollationConfig = field(default_factory=CollationConfig)
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights while they are trained; the optimizer's own are float32 always."""
    num_pictures: int = 30_000
    """Pictures to learn from, each with a description and questions."""
    num_questions: int = 3
    """Questions to each picture, if it has so many."""
    num_text_lessons: int = 10_000
    """Tasks without pictures."""
    num_exam_pictures: int = 960
    """New pictures to be asked about at validation."""

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        best = self.best_by
        expected = "unset: the first stage measures other things than those after it"
        require(best is None, place="best_by", value=best, expected=expected)
        number = len(self.stages)
        require(number >= 2, place="stages", value=number, expected="one to name, one to answer")
        for name, low in (
            ("num_pictures", 1),
            ("num_exam_pictures", 1),
            ("num_text_lessons", 0),
            ("num_questions", 0),
        ):
            value = getattr(self, name)
            require(value >= low, place=name, value=value, expected=f"{low} or more")


def _check_stage(stage: StageConfig, *, place: str) -> None:
    """Raises ConfigError, naming the stage by its place, which it does not know itself."""
    for name in ("epochs", "batch_size"):
        value = getattr(stage, name)
        require(value >= 1, place=f"{place}.{name}", value=value, expected="1 or more")
    rate, warmup = stage.learning_rate, stage.warmup_ratio
    require(0 < rate < 1, place=f"{place}.learning_rate", value=rate, expected="(0, 1)")
    require(0 <= warmup <= 1, place=f"{place}.warmup_ratio", value=warmup, expected="[0, 1]")
