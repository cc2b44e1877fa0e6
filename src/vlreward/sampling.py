"""A transformers model in this process that answers prompts: an `interfaces.Generator`.

generator = LocalGenerator.load("…", sampling=Sampling(temperature=0.7))
generator.generate(prompt, num_responses=4, seed=0)
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Encoder, Span
from vlreward.collation.packing import picture_tensors
from vlreward.collation.text import Tokenizer, load_tokenizer
from vlreward.errors import CheckpointError, DataError, require
from vlreward.generation.reasoning import Generated
from vlreward.modeling.backbones import picture_keywords
from vlreward.modeling.devices import DtypeName
from vlreward.modeling.encoders import encoder_of
from vlreward.modeling.language_models import open_language_model
from vlreward.modeling.quiet import quiet_transformers
from vlreward.records import Prompt, Response

_MAX_PROMPT_TOKENS = 32768  # Qwen2.5-VL's own: the largest pictures fit


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How answers are drawn; what is not said here is as the folder's generation_config.json."""

    max_new_tokens: int = 1024
    """An answer is cut after this many tokens."""
    temperature: float = 0.0
    """Sampling temperature; with 0 the most probable token is taken always."""
    top_p: float | None = None
    """The share of probability that is drawn from; unset, as the folder says."""

    def __post_init__(self) -> None:
        number, temperature = self.max_new_tokens, self.temperature
        require(number >= 1, place="max_new_tokens", value=number, expected="1 or more")
        require(temperature >= 0, place="temperature", value=temperature, expected="0 or more")


class LocalGenerator:
    """A model with its LM head, its tokenizer and picture settings; load one with `load`.

    It reads what reward models read, by the same templates: a vision-language model of Qwen's
    family, or a text decoder with a chat template. Special tokens in a prompt's text stay text.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        encoder: Encoder,
        tokenizer: Tokenizer,
        *,
        name: str,
        sampling: Sampling,
    ) -> None:
        self.model = model
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.name = name
        self.sampling = sampling
        self._end_ids = _end_ids(model, tokenizer, name=name)
        self._takes_types = "mm_token_type_ids" in inspect.signature(model.forward).parameters

    @classmethod
    def load(
        cls,
        path_or_name: str | Path,
        *,
        revision: str | None = None,
        dtype: DtypeName = "auto",
        device: str | None = None,
        collation: CollationConfig | None = None,
        sampling: Sampling | None = None,
    ) -> LocalGenerator:
        """Reads a base or instruction-tuned model from a folder or the hub.

        `dtype` auto means float32 on the CPU and bfloat16 on a GPU; `device` defaults to the GPU
        where there is one; `collation` limits prompts and pictures. Raises CheckpointError if the
        folder cannot be used, or is a reward model's, which has learnt to judge and not to answer.
        """
        folder, config, model = open_language_model(
            path_or_name, revision=revision, dtype=dtype, device=device
        )
        limits = collation or CollationConfig(max_length=_MAX_PROMPT_TOKENS)
        return cls(
            model,
            encoder_of(folder, config=config, collation=limits),
            load_tokenizer(folder),
            name=str(path_or_name),
            sampling=sampling or Sampling(),
        )

    def with_sampling(self, sampling: Sampling) -> LocalGenerator:
        """The same model, shared, with another way of drawing."""
        return LocalGenerator(
            self.model, self.encoder, self.tokenizer, name=self.name, sampling=sampling
        )

    def generate(self, prompt: Prompt, *, num_responses: int, seed: int) -> list[Response]:
        """The answers, the same for the same seed on the same device; see `interfaces.Generator`.

        Without sampling they are all the same one. Raises DataError for a prompt that cannot be
        read, and for an answer without words.
        """
        return [one.response for one in self.sample(prompt, num_responses=num_responses, seed=seed)]

    def sample(self, prompt: Prompt, *, num_responses: int, seed: int) -> list[Generated]:
        """As `generate`, and whether each answer was cut."""
        span = self.encoder.encode_opening(prompt)
        is_greedy = self.sampling.temperature == 0
        drawn = self._draw(span, num_sequences=1 if is_greedy else num_responses, seed=seed)
        answers = [self._answer(ids) for ids in drawn]
        return answers * num_responses if is_greedy else answers

    @torch.no_grad()
    def _draw(self, span: Span, *, num_sequences: int, seed: int) -> list[list[int]]:
        """The ids of each answer, what ends it included."""
        device = self.model.device
        settings = GenerationConfig(
            max_new_tokens=self.sampling.max_new_tokens,
            do_sample=self.sampling.temperature > 0,
            temperature=self.sampling.temperature or None,
            top_p=self.sampling.top_p if self.sampling.temperature > 0 else None,
            num_return_sequences=num_sequences,
            eos_token_id=list(self._end_ids),
            pad_token_id=self._end_ids[0],
        )
        inputs = {name: tensor.to(device) for name, tensor in self._inputs(span).items()}
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), quiet_transformers():
            torch.manual_seed(seed)
            found: Tensor = self.model.generate(**inputs, generation_config=settings)
        rows: list[list[int]] = found[:, len(span) :].tolist()
        return rows

    def _inputs(self, span: Span) -> dict[str, Tensor]:
        """What transformers' own preprocessing would make of the prompt."""
        ids = torch.from_numpy(span.ids)[None]
        pixels: tuple[Tensor | None, Tensor | None] = (None, None)
        if span.pictures:
            assert self.encoder.preparation is not None, "only models that see encode pictures"
            pixels = picture_tensors(span.pictures, self.encoder.preparation)
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        inputs |= picture_keywords(
            self.model.config, input_ids=ids, pixel_values=pixels[0], image_grid_thw=pixels[1]
        )
        if span.pictures and self._takes_types:
            inputs["mm_token_type_ids"] = (ids == self.encoder.image_token_id).int()
        return inputs

    def _answer(self, ids: Sequence[int]) -> Generated:
        ends = [at for at, token in enumerate(ids) if token in self._end_ids]
        said = ids[: ends[0]] if ends else ids
        text = self.tokenizer.hugging_face.decode(said, skip_special_tokens=True).strip()
        if not text:
            raise DataError(
                "answer-empty",
                value="an answer without words",
                place=self.name,
                expected="an answer",
                mend="Sample with another seed or temperature, or choose another model.",
            )
        response = Response(content=(text,), model=self.name)
        return Generated(response=response, is_cut=not ends)


def _end_ids(model: PreTrainedModel, tokenizer: Tokenizer, *, name: str) -> tuple[int, ...]:
    """The ids that end an answer, the tokenizer's own first; raises CheckpointError without any."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    found = [one for one in (tokenizer.hugging_face.eos_token_id, *listed) if one is not None]
    if not found:
        raise CheckpointError(
            "end-token-missing",
            value="neither the tokenizer nor generation_config.json names one",
            place=name,
            expected="eos_token_id, the token that ends an answer",
            mend="Use an instruction-tuned model, or add it to generation_config.json.",
        )
    return tuple(dict.fromkeys(found))
