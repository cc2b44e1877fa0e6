"""Tiny random checkpoints of true transformers classes, and records to feed them."""

from __future__ import annotations

import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Span
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint, load_checkpoint
from vlreward.modeling.encoders import encoder_for
from vlreward.pictures import admit
from vlreward.records import Message, Part, Picture, PreferencePair, Prompt, Response
from vlreward.scoring import RewardModel
from vlreward.world.tokenizer import TOKENIZER_FOLDER

VISION_KINDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
TEXT_KINDS = ("llama", "qwen2", "qwen3", "smollm2")
KINDS = (*VISION_KINDS, *TEXT_KINDS)

_TOKENS: dict[str, int] = {
    token["content"]: token["id"]
    for token in json.loads((TOKENIZER_FOLDER / "tokenizer.json").read_text())["added_tokens"]
}
VOCABULARY_SIZE = max(_TOKENS.values()) + 1


def write_base_model(
    folder: Path,
    kind: str,
    *,
    tied: bool = False,
    seed: int = 0,
    vocab_size: int = VOCABULARY_SIZE,
) -> Path:
    """Saves a random model of the kind as its own class does, with the packaged tokenizer."""
    torch.manual_seed(seed)
    model = _build(kind, tied=tied, vocab_size=vocab_size)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0.0, 0.08)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        shutil.copyfile(TOKENIZER_FOLDER / name, folder / name)
    if kind == "qwen3_vl":
        path = folder / "preprocessor_config.json"
        settings = json.loads(path.read_text()) | {"patch_size": 16, "min_pixels": 4096}
        path.write_text(json.dumps(settings))
    return folder


def load_tiny(
    folder: Path, *, head: str = "linear", dtype: torch.dtype = torch.float32
) -> RewardCheckpoint:
    """The folder as a reward checkpoint with a new head."""
    return load_checkpoint(folder, dtype=dtype, new_head=head, seed=1)  # type: ignore[arg-type]


def reward_model(checkpoint: RewardCheckpoint, **collation: Any) -> RewardModel:
    """A packed reward model around a checkpoint."""
    settings = CollationConfig(**collation)
    backbones.use_tree_attention(checkpoint.network.backbone)
    checkpoint.network.eval()
    return RewardModel(
        checkpoint,
        encoder_for(checkpoint, settings),
        packed=True,
        token_budget=settings.token_budget,
    )


def picture(seed: int, *, width: int = 70, height: int = 56) -> Picture:
    """A picture of smooth noise."""
    values = np.random.default_rng(seed).integers(0, 256, size=(7, 7, 3), dtype=np.uint8)
    image = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return admit(buffer.getvalue())


def words(rng: random.Random, low: int, high: int) -> str:
    """Some random English words."""
    lexicon = "the red square lies left of a blue circle and two small stars shine 7 times".split()
    return " ".join(rng.choice(lexicon) for _ in range(rng.randint(low, high)))


def prompt(*content: Part, system: str | None = None) -> Prompt:
    """A prompt of one user message, after a system message if one is given."""
    head = () if system is None else (Message(role="system", content=(system,)),)
    return Prompt(messages=(*head, Message(role="user", content=content)))


def response(*content: Part) -> Response:
    """A response of these parts."""
    return Response(content=content)


def pair(given: Prompt, chosen: Response, rejected: Response) -> PreferencePair:
    """A preference."""
    return PreferencePair(prompt=given, chosen=chosen, rejected=rejected)


def _build(kind: str, *, tied: bool, vocab_size: int) -> PreTrainedModel:
    text: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": tied,
        "bos_token_id": _TOKENS["<|endoftext|>"],
        "eos_token_id": _TOKENS["<|im_end|>"],
        "pad_token_id": _TOKENS["<|endoftext|>"],
    }
    text_classes: dict[str, Any] = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "smollm2": (LlamaConfig, LlamaForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    }
    if kind in text_classes:
        config_class, model_class = text_classes[kind]
        if kind == "qwen3":
            text["head_dim"] = 32
        model: PreTrainedModel = model_class(config_class(**text))
        return model
    return _build_vision(kind, text, tied=tied)


def _build_vision(kind: str, text: dict[str, Any], *, tied: bool) -> PreTrainedModel:
    sections = {"mrope_section": [4, 6, 6], "rope_type": "default", "rope_theta": 1_000_000.0}
    text = text | {"rope_parameters": sections}
    vision: dict[str, Any] = {"depth": 2, "num_heads": 2}
    ids = {
        "image_token_id": _TOKENS["<|image_pad|>"],
        "video_token_id": _TOKENS["<|video_pad|>"],
        "vision_start_token_id": _TOKENS["<|vision_start|>"],
        "vision_end_token_id": _TOKENS["<|vision_end|>"],
        "tie_word_embeddings": tied,
    }
    if kind == "qwen2_vl":
        vision |= {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}
        return Qwen2VLForConditionalGeneration(
            Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
        )
    vision |= {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64}
    if kind == "qwen2_5_vl":
        vision |= {"fullatt_block_indexes": [1], "window_size": 56}
        return Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids)
        )
    text["head_dim"] = 32
    vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 64, "patch_size": 16}
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
    )


def joined(prefix: Span, branch: Span) -> NDArray[np.int64]:
    """The ids of a prompt with one of its responses."""
    return np.concatenate([prefix.ids, branch.ids])
