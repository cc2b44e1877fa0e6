"""The quick start: a small Qwen2.5-VL learns to see shapes and colours in a few minutes."""

from __future__ import annotations

from vlreward.collation.config import CollationConfig
from vlreward.modeling.config import ModelConfig, ScratchConfig
from vlreward.sources.config import SourceConfig
from vlreward.training.config import OptimizerConfig, StageConfig, TrainConfig


def drawings(*, data: str, validation: str, output: str) -> TrainConfig:
    """One stage on drawn pairs from files, everything trained; every number is our choice."""
    return TrainConfig(
        output=output,
        data=(SourceConfig(path=data),),
        validation=(SourceConfig(path=validation),),
        model=ModelConfig(
            path=None,
            scratch=ScratchConfig(
                hidden_size=128,
                num_layers=3,
                num_heads=4,
                num_key_value_heads=2,
                vision_hidden_size=96,
                vision_num_layers=3,
                vision_num_heads=4,
            ),
            dtype="float32",
            freeze_vision=False,
        ),
        collation=CollationConfig(max_length=512, token_budget=4096),
        stages=(
            StageConfig(
                name="drawings", epochs=5, learning_rate=1e-3, batch_size=64, warmup_ratio=0.05
            ),
        ),
        optimizer=OptimizerConfig(weight_decay=0.01),
        log_every_steps=5,
        validate_every_steps=150,
        save_every_steps=100,
    )
