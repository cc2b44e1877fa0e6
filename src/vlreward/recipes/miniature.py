"""The miniature base model, trained from scratch on the world; every number is our choice."""

from __future__ import annotations

from vlreward.collation.config import CollationConfig
from vlreward.modeling.config import ScratchConfig
from vlreward.training.config import OptimizerConfig, PretrainConfig, StageConfig

_EASY_TO_SEE = (
    "single shapes",
    "counting",
    "colours",
    "positions",
    "objects",
    "several pictures",
    "overlapping circles",
    "crossing lines",
    "grids",
)


def miniature_base(*, output: str, seed: int = 0, num_pictures: int = 45_000) -> PretrainConfig:
    """About six million parameters: one shape, then several and lines, then all of the world."""
    return PretrainConfig(
        output=output,
        stages=(
            StageConfig(
                name="one shape", epochs=1, batch_size=64, learning_rate=1e-3, warmup_ratio=0.2
            ),
            StageConfig(name="shapes and lines", epochs=1, batch_size=64, learning_rate=1e-3),
            StageConfig(
                name="world", epochs=1, batch_size=64, learning_rate=1e-3, warmup_ratio=0.02
            ),
        ),
        curriculum=(_EASY_TO_SEE[:1], _EASY_TO_SEE),
        optimizer=OptimizerConfig(weight_decay=0.01),
        seed=seed,
        log_every_steps=10,
        validate_every_steps=250,
        save_every_steps=250,
        scratch=ScratchConfig(
            hidden_size=256,
            num_layers=3,
            num_heads=4,
            num_key_value_heads=2,
            vision_hidden_size=192,
            vision_num_layers=3,
            vision_num_heads=4,
        ),
        collation=CollationConfig(max_length=1024, token_budget=4096),
        num_pictures=num_pictures,
        num_text_lessons=num_pictures // 5,
        num_exam_pictures=480,
    )
