"""Vision-language models in this process that answer a judge's questions."""

from __future__ import annotations

from vlreward.collation.config import CollationConfig
from vlreward.evaluation.judges.respondents import Sampler
from vlreward.evaluation.scorers.config import WeightsConfig
from vlreward.sampling import LocalGenerator, Sampling

MAX_PROMPT_TOKENS = 32768


def load_generator(
    weights: WeightsConfig,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float | None = None,
) -> Sampler:
    """The model with its LM head: a text decoder, or of any family that `backbones` knows.

    Raises CheckpointError or ConfigError if it cannot be used.
    """
    return LocalGenerator.load(
        weights.path,
        revision=weights.revision,
        dtype=weights.dtype,
        device=weights.device,
        collation=limits_of(weights, max_length=MAX_PROMPT_TOKENS),
        sampling=Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p),
    )


def limits_of(weights: WeightsConfig, *, max_length: int) -> CollationConfig:
    """The configured limits, with `max_length` where none is named."""
    return CollationConfig(
        max_length=weights.max_length or max_length,
        min_pixels=weights.min_pixels,
        max_pixels=weights.max_pixels,
    )
