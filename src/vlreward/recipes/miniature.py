"""The miniature models: a base trained from scratch on the world, a reward model from that base.

Every number is our choice.
"""

from __future__ import annotations

from vlreward.collation.config import CollationConfig
from vlreward.modeling.config import ModelConfig, ScratchConfig
from vlreward.sources.config import SourceConfig
from vlreward.training.config import OptimizerConfig, PretrainConfig, StageConfig, TrainConfig

_COLLATION = CollationConfig(max_length=1024, max_pixels=224 * 224, token_budget=4096)


def miniature_base(*, output: str, seed: int = 0, num_pictures: int = 90_000) -> PretrainConfig:
    """About seven million parameters: it learns to see by naming, then to answer."""
    return PretrainConfig(
        output=output,
        stages=(
            StageConfig(
                name="names", epochs=1, batch_size=32, learning_rate=3e-3, warmup_ratio=0.05
            ),
            StageConfig(
                name="answers", epochs=1, batch_size=64, learning_rate=3e-3, warmup_ratio=0.03
            ),
        ),
        optimizer=OptimizerConfig(muon=True, weight_decay=0.01),
        seed=seed,
        log_every_steps=10,
        validate_every_steps=600,
        save_every_steps=250,
        scratch=ScratchConfig(
            hidden_size=256,
            num_layers=3,
            num_heads=4,
            num_key_value_heads=4,
            vision_hidden_size=192,
            vision_num_layers=4,
            vision_num_heads=4,
            # Eighteen slow frequencies let a question find a word at any distance; rows and the
            # first columns keep fast ones, so that neighbours differ.
            rope_theta=10_000.0,
            mrope_section=(2, 6, 24),
        ),
        collation=_COLLATION,
        num_pictures=num_pictures,
        num_text_lessons=num_pictures // 5,
        num_exam_pictures=480,
    )


def miniature(
    *,
    data: str,
    validation: str,
    output: str,
    base: str = "miniature-base",
    batch_size: int = 32,
    seed: int = 0,
) -> TrainConfig:
    """The paper's two stages on pairs of the world, the vision encoder frozen."""
    return TrainConfig(
        output=output,
        data=(SourceConfig(path=data),),
        validation=(SourceConfig(path=validation),),
        model=ModelConfig(path=base, dtype="float32"),
        collation=_COLLATION,
        stages=(
            StageConfig(
                name="multimodal",
                select="multimodal",
                epochs=1,
                batch_size=batch_size,
                learning_rate=1e-3,
                warmup_ratio=0.05,
            ),
            StageConfig(
                name="multimodal-and-text", epochs=1, batch_size=batch_size, learning_rate=7e-4
            ),
        ),
        optimizer=OptimizerConfig(muon=True, weight_decay=0.01),
        seed=seed,
        log_every_steps=10,
        validate_every_steps=1000,
        save_every_steps=200,
    )
