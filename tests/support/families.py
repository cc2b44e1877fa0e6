"""Random tiny vision-language models whose pictures are tiles, with their families' tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GotOcr2ImageProcessorPil,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from vlreward.world.tokenizer import TOKENIZER_FOLDER

FAMILIES = ("llava", "internvl", "idefics3", "smolvlm", "gemma3")
PACKABLE = FAMILIES[:-1]
SIDE, PATCH = 28, 7
"""Of a tile, and of a patch of it."""

_TOKENS = {
    "llava": ["<image>"],
    "internvl": ["<img>", "</img>", "<IMG_CONTEXT>"],
    "idefics3": ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>"],
    "gemma3": ["<start_of_image>", "<image_soft_token>", "<end_of_image>"],
}
_TOKENS["idefics3"] += [
    f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)
]
_TOKENS["smolvlm"] = _TOKENS["idefics3"]
_PLACEHOLDERS = {"llava": "<image>\n", "internvl": "<IMG_CONTEXT>\n", "gemma3": "<start_of_image>"}
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ 'PLACEHOLDER' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
}
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}


def write_family(folder: Path, kind: str, *, seed: int = 0) -> Path:
    """Saves a random model of the kind as its own classes do, with the packaged tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER_FOLDER)
    tokenizer.add_special_tokens({"additional_special_tokens": _TOKENS[kind]})
    tokenizer.chat_template = (
        _CHAT_TEMPLATE.replace("PLACEHOLDER", _PLACEHOLDERS[kind])
        if kind in _PLACEHOLDERS
        else DEFAULT_CHAT_TEMPLATE
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    model = _BUILDERS[kind](tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0.0, 0.08)
    model.save_pretrained(folder)
    image_processor(kind).save_pretrained(folder)
    return folder


def image_processor(kind: str) -> Any:
    """The family's own, for tiny tiles."""
    square = {"height": SIDE, "width": SIDE}
    if kind == "llava":
        return LlavaImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square)
    if kind == "internvl":
        return GotOcr2ImageProcessorPil(size=square)
    if kind == "gemma3":
        return Gemma3ImageProcessorPil(size=square)
    made = Idefics3ImageProcessorPil if kind == "idefics3" else SmolVLMImageProcessorPil
    return made(size={"longest_edge": 3 * SIDE}, max_image_size={"longest_edge": SIDE})


def _llava(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return LlavaForConditionalGeneration(
        LlavaConfig(
            text_config={"model_type": "llama", "vocab_size": len(tokenizer), **_TEXT},
            vision_config={"model_type": "clip_vision_model", "projection_dim": 32, **_VISION},
            image_token_id=_id(tokenizer, "<image>"),
            vision_feature_layer=-1,
            tie_word_embeddings=False,
        )
    )


def _internvl(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    sides = {"image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]}
    return InternVLForConditionalGeneration(
        InternVLConfig(
            text_config={"model_type": "qwen2", "vocab_size": len(tokenizer), **_TEXT},
            vision_config=_VISION | sides,
            image_token_id=_id(tokenizer, "<IMG_CONTEXT>"),
            image_seq_length=(SIDE // PATCH // 2) ** 2,
            tie_word_embeddings=False,
        )
    )


def _idefics3(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return Idefics3ForConditionalGeneration(Idefics3Config(**_idefics3_settings(tokenizer)))


def _smolvlm(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return SmolVLMForConditionalGeneration(SmolVLMConfig(**_idefics3_settings(tokenizer)))


def _idefics3_settings(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "text_config": {"model_type": "llama", "vocab_size": len(tokenizer), **_TEXT},
        "vision_config": dict(_VISION),
        "image_token_id": _id(tokenizer, "<image>"),
        "scale_factor": 2,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
    }


def _gemma3(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    text = {
        "model_type": "gemma3_text",
        "vocab_size": len(tokenizer),
        "head_dim": 32,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"],
        **_TEXT,
    }
    return Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config=text,
            vision_config={"model_type": "siglip_vision_model", **_VISION},
            image_token_id=_id(tokenizer, "<image_soft_token>"),
            boi_token_index=_id(tokenizer, "<start_of_image>"),
            eoi_token_index=_id(tokenizer, "<end_of_image>"),
            mm_tokens_per_image=4,
        )
    )


def _id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(token))


_BUILDERS = {
    "llava": _llava,
    "internvl": _internvl,
    "idefics3": _idefics3,
    "smolvlm": _smolvlm,
    "gemma3": _gemma3,
}
