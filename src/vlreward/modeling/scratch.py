"""A randomly initialised Qwen2.5-VL of a chosen size, for the quick start and small machines."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel

from vlreward.collation.text import Tokenizer
from vlreward.modeling.checkpoints import RewardCheckpoint, RewardSettings
from vlreward.modeling.config import ScratchConfig
from vlreward.modeling.heads import HeadKind, build_head
from vlreward.modeling.network import RewardNetwork

_MAX_POSITIONS = 32768


def build_scratch(
    config: ScratchConfig,
    tokenizer: Tokenizer,
    *,
    text_folder: Path,
    head: HeadKind,
    dtype: torch.dtype = torch.float32,
    seed: int,
) -> RewardCheckpoint:
    """A network with random weights, the same for the same seed; torch's generator is left alone.

    The head is float32 always, `dtype` is the backbone's.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = Qwen2_5_VLModel(qwen_config(config, tokenizer)).to(dtype)
    return RewardCheckpoint(
        network=RewardNetwork(
            backbone, build_head(head, hidden_size=config.hidden_size, seed=seed)
        ),
        settings=RewardSettings(head=head),
        text_folder=text_folder,
    )


def qwen_config(config: ScratchConfig, tokenizer: Tokenizer) -> Qwen2_5_VLConfig:
    """The Qwen2.5-VL configuration of these sizes."""
    half = config.hidden_size // config.num_heads // 2
    eighths = 3 * half // 8
    sections = config.mrope_section or (half - 2 * eighths, eighths, eighths)
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": tokenizer.hugging_face.vocab_size
            + len(tokenizer.hugging_face.added_tokens_decoder),
            "hidden_size": config.hidden_size,
            "intermediate_size": _intermediate_size(config.hidden_size),
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "num_key_value_heads": config.num_key_value_heads,
            "max_position_embeddings": _MAX_POSITIONS,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": config.rope_theta,
                "mrope_section": list(sections),
            },
            "bos_token_id": tokenizer.control("<|endoftext|>"),
            "eos_token_id": tokenizer.control("<|im_end|>"),
            "pad_token_id": tokenizer.control("<|endoftext|>"),
            "tie_word_embeddings": True,
            "initializer_range": config.hidden_size**-0.5,
        },
        vision_config={
            "depth": config.vision_num_layers,
            "hidden_size": config.vision_hidden_size,
            "intermediate_size": _intermediate_size(config.vision_hidden_size),
            "num_heads": config.vision_num_heads,
            "out_hidden_size": config.hidden_size,
            "fullatt_block_indexes": list(range(config.vision_num_layers)),
            "initializer_range": config.vision_hidden_size**-0.5,
        },
        image_token_id=tokenizer.control("<|image_pad|>"),
        video_token_id=tokenizer.control("<|video_pad|>"),
        vision_start_token_id=tokenizer.control("<|vision_start|>"),
        vision_end_token_id=tokenizer.control("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def _intermediate_size(hidden_size: int) -> int:
    """Of a gated MLP, which has three matrices: 8/3 of the width, a multiple of 16."""
    return hidden_size * 8 // 3 // 16 * 16
