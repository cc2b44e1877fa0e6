"""The paper's run (arXiv 2505.07263): Qwen2.5-VL-7B, two stages, vision encoder frozen."""

from __future__ import annotations

from collections.abc import Sequence

from vlreward.collation.config import CollationConfig
from vlreward.modeling.config import ModelConfig
from vlreward.sources.config import SourceConfig
from vlreward.sources.spec import parse_sources
from vlreward.training.config import TrainConfig

_MAX_PIXELS = 1280 * 28 * 28


def skywork_vl(
    *,
    data: str | Sequence[str | SourceConfig],
    validation: str | Sequence[str | SourceConfig] = (),
    output: str = "runs/skywork-vl",
    model: str = "Qwen/Qwen2.5-VL-7B-Instruct",
) -> TrainConfig:
    """Two epochs on the multimodal pairs, then two on all pairs at a lower rate.

    Learning rates, batch size, lengths and pixel limits are not published; the defaults of
    `TrainConfig` stand for them, and pictures are shrunk to 1280 visual tokens. `model` is a
    folder or hub name; sources are written as for `parse_source`.
    """
    return TrainConfig(
        output=output,
        data=parse_sources(data),
        validation=parse_sources(validation),
        model=ModelConfig(path=model, gradient_checkpointing=True),
        collation=CollationConfig(max_pixels=_MAX_PIXELS),
    )
