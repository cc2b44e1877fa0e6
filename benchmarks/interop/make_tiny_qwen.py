"""Builds a small random Qwen2.5-VL checkpoint with Qwen's true vocabulary of 151,936 rows.

    python make_tiny_qwen.py peers/tiny_untied
    python make_tiny_qwen.py peers/tiny_tied --tied

Needs transformers 5.x and the package `dashscope`, which ships the byte-pair ranks. `config.json`
has the flat spelling of the published checkpoints, which transformers 4.51 and 5.x both read;
what 5.x would save has the language model's fields nested in `text_config`, and 4.51 refuses that,
also when the flat fields stand beside it. The weights have a wider spread than a fresh model's so
that a wrong token or pixel shows in the scores.
"""

import argparse
import base64
import importlib.util
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torchvision_stub
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

torchvision_stub.install()

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration  # noqa: E402

VOCABULARY_SIZE = 151_936
ROPE_BASE = 1_000_000.0
INITIALIZER_RANGE = 0.06
HEAD_SIZE = 64
MROPE_SECTION = (8, 12, 12)
VISION_HEAD_SIZE = 48
END_OF_TEXT_ID, END_OF_TURN_ID = 151_643, 151_645

SPECIAL_TOKENS = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> "
    "<|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> "
    "<|image_pad|> <|video_pad|>"
).split()
PLAIN_ADDED_TOKENS = (
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> "
    "<|repo_name|> <|file_sep|>"
).split()
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if loop.first and message['role'] != 'system' -%}"
    "{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' -}}"
    "{%- endif -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif part['type'] == 'video' -%}{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}"
    "{%- else -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


@dataclass(frozen=True)
class Shape:
    """Sizes of the two towers; `hidden_size` must be a multiple of 64, `vision_size` of 48."""

    hidden_size: int
    num_layers: int
    vision_size: int
    vision_depth: int
    tied: bool


def read_ranks() -> dict[bytes, int]:
    """Return the rank of every byte string of Qwen's vocabulary, lowest first."""
    spec = importlib.util.find_spec("dashscope")
    if spec is None or spec.origin is None:
        raise SystemExit("Install the package dashscope: it ships the ranks (qwen.tiktoken).")
    lines = (Path(spec.origin).parent / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    pairs = (line.split() for line in lines if line.strip())
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def printable_alphabet() -> list[str]:
    """Return the visible character that stands for each of the 256 bytes (GPT-2's mapping)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(others)) for byte in range(256)]


def last_merge(token: bytes, *, ranks: dict[bytes, int]) -> list[bytes]:
    """Return the parts that `token` is left in when only merges of a lower rank are made."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 1:
        joined = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        lowest = min(joined)
        if lowest >= ranks[token]:
            break
        at = joined.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def build_tokenizer(ranks: dict[bytes, int]) -> Tokenizer:
    """Return Qwen2's byte-level tokenizer, made from the ranks alone."""
    alphabet = printable_alphabet()
    spelled = {token: "".join(alphabet[byte] for byte in token) for token in ranks}
    halves = (last_merge(token, ranks=ranks) for token in ranks if len(token) > 1)
    merges = [(spelled[pair[0]], spelled[pair[1]]) for pair in halves if len(pair) == 2]
    vocabulary = {spelled[token]: rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in PLAIN_ADDED_TOKENS])
    return tokenizer


def tokenizer_config() -> dict[str, Any]:
    """Return what `tokenizer_config.json` says, chat template included."""
    added = {
        str(END_OF_TEXT_ID + offset): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": token in SPECIAL_TOKENS,
        }
        for offset, token in enumerate([*SPECIAL_TOKENS, *PLAIN_ADDED_TOKENS])
    }
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "processor_class": "Qwen2_5_VLProcessor",
        "added_tokens_decoder": added,
        "additional_special_tokens": SPECIAL_TOKENS[1:],
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 131_072,
        "chat_template": CHAT_TEMPLATE,
    }


PREPROCESSOR_CONFIG = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
    "min_pixels": 3136,
    "max_pixels": 12_845_056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def flat_config(shape: Shape) -> dict[str, Any]:
    """Return `config.json` as the published Qwen2.5-VL checkpoints spell it."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "attention_dropout": 0.0,
        "bos_token_id": END_OF_TEXT_ID,
        "eos_token_id": END_OF_TURN_ID,
        "vision_start_token_id": 151_652,
        "vision_end_token_id": 151_653,
        "vision_token_id": 151_654,
        "image_token_id": 151_655,
        "video_token_id": 151_656,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initializer_range": INITIALIZER_RANGE,
        "intermediate_size": shape.hidden_size * 4,
        "max_position_embeddings": 32_768,
        "max_window_layers": shape.num_layers,
        "num_attention_heads": shape.hidden_size // HEAD_SIZE,
        "num_hidden_layers": shape.num_layers,
        "num_key_value_heads": max(1, shape.hidden_size // (2 * HEAD_SIZE)),
        "rms_norm_eps": 1e-6,
        "rope_theta": ROPE_BASE,
        "rope_scaling": {"type": "mrope", "mrope_section": list(MROPE_SECTION)},
        "sliding_window": 32_768,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": "float32",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": vision_fields(shape),
        "vocab_size": VOCABULARY_SIZE,
    }


def vision_fields(shape: Shape) -> dict[str, Any]:
    """Return the vision tower's part of the config."""
    return {
        "depth": shape.vision_depth,
        "hidden_act": "silu",
        "hidden_size": shape.vision_size,
        "initializer_range": INITIALIZER_RANGE,
        "intermediate_size": shape.vision_size * 4,
        "num_heads": shape.vision_size // VISION_HEAD_SIZE,
        "in_chans": 3,
        "out_hidden_size": shape.hidden_size,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [shape.vision_depth - 1],
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
    }


def write_checkpoint(folder: Path, *, shape: Shape, seed: int) -> int:
    """Write weights, config, tokenizer and preprocessor; return the number of parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(flat_config(shape)))
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    build_tokenizer(read_ranks()).save(str(folder / "tokenizer.json"))
    documents = {
        "config.json": flat_config(shape),
        "tokenizer_config.json": tokenizer_config(),
        "chat_template.json": {"chat_template": CHAT_TEMPLATE},
        "preprocessor_config.json": PREPROCESSOR_CONFIG,
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2) + "\n")
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    """Read the command line and write one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--num-layers", type=int, default=2)
    parser.add_argument("--vision-size", type=int, default=96)
    parser.add_argument("--vision-depth", type=int, default=2)
    parser.add_argument("--tied", action="store_true", help="one matrix for both embeddings")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shape = Shape(
        hidden_size=options.hidden_size,
        num_layers=options.num_layers,
        vision_size=options.vision_size,
        vision_depth=options.vision_depth,
        tied=options.tied,
    )
    num_parameters = write_checkpoint(options.folder, shape=shape, seed=options.seed)
    print(f"{options.folder}: {num_parameters / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
