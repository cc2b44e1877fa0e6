"""A Qwen2.5-VL of a few million random parameters, trained whole: for CPUs and small data."""

from __future__ import annotations

from collections.abc import Sequence

from vlreward.collation.config import CollationConfig
from vlreward.modeling.config import ModelConfig, ScratchConfig
from vlreward.sources.config import SourceConfig
from vlreward.sources.spec import parse_sources
from vlreward.training.config import OptimizerConfig, StageConfig, TrainConfig


def scratch(
    *,
    data: str | Sequence[str | SourceConfig],
    validation: str | Sequence[str | SourceConfig] = (),
    output: str = "runs/scratch",
    epochs: int = 8,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    max_pixels: int = 168 * 168,
    sizes: ScratchConfig | None = None,
) -> TrainConfig:
    """One stage on all pairs, the vision encoder trained too, float32. Every number is ours."""
    return TrainConfig(
        output=output,
        data=parse_sources(data),
        validation=parse_sources(validation),
        model=ModelConfig(
            path=None,
            scratch=sizes or ScratchConfig(),
            dtype="float32",
            freeze_vision=False,
        ),
        collation=CollationConfig(max_length=1024, max_pixels=max_pixels, token_budget=4096),
        stages=(
            StageConfig(
                name="from-scratch",
                epochs=epochs,
                learning_rate=learning_rate,
                batch_size=batch_size,
                warmup_ratio=0.1,
            ),
        ),
        optimizer=OptimizerConfig(weight_decay=0.01),
        save_every_steps=100,
    )
