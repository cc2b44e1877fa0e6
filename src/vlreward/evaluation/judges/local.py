"""Vision-language models in this process that answer a judge's questions."""

from __future__ import annotations

from vlreward.collation.config import CollationConfig
from vlreward.evaluation.judges.respondents import Sampler
from vlreward.evaluation.scorers.config import WeightsConfig
from vlreward.sampling import LocalGenerator, Sampling

_MAX_PROMPT_TOKENS = 32768


def load_generator(
    weights: WeightsConfig,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float | None = None,
) -> Sampler:
    """The model with its LM head; raises CheckpointError or ConfigError if it cannot be used."""
    return LocalGenerator.load(
        weights.path,
        revision=weights.revision,
        dtype=weights.dtype,
        device=weights.device,
        collation=limits(weights),
        sampling=Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p),
    )


def limits(weights: WeightsConfig, *, max_length: int = _MAX_PROMPT_TOKENS) -> CollationConfig:
    """The configured limits, `max_length` where none is named."""
    return CollationConfig(
        max_length=weights.max_length or max_length,
        min_pixels=weights.min_pixels,
        max_pixels=weights.max_pixels,
    )
