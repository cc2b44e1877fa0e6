"""Vision-language models in this process that answer a judge's questions."""

from __future__ import annotations

from vlreward.collation.config import CollationConfig
from vlreward.evaluation.judges.internvl import MODEL_TYPE as INTERNVL
from vlreward.evaluation.judges.internvl import load_internvl
from vlreward.evaluation.judges.respondents import Sampler
from vlreward.evaluation.scorers.config import WeightsConfig
from vlreward.modeling.folders import find_model_folder, read_json
from vlreward.sampling import LocalGenerator, Sampling

MAX_PROMPT_TOKENS = 32768


def load_generator(
    weights: WeightsConfig,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float | None = None,
) -> Sampler:
    """The model with its LM head: of Qwen's family, a text decoder, or InternVL3.

    Raises CheckpointError or ConfigError if it cannot be used.
    """
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p)
    limits = limits_of(weights, max_length=MAX_PROMPT_TOKENS)
    folder = find_model_folder(weights.path, revision=weights.revision)
    if read_json(folder / "config.json").get("model_type") == INTERNVL:
        return load_internvl(
            weights, folder=folder, max_length=limits.max_length, sampling=sampling
        )
    return LocalGenerator.load(
        weights.path,
        revision=weights.revision,
        dtype=weights.dtype,
        device=weights.device,
        collation=limits,
        sampling=sampling,
    )


def limits_of(weights: WeightsConfig, *, max_length: int) -> CollationConfig:
    """The configured limits, with `max_length` where none is named."""
    return CollationConfig(
        max_length=weights.max_length or max_length,
        min_pixels=weights.min_pixels,
        max_pixels=weights.max_pixels,
    )
