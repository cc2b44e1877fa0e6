"""The files of a tokenizer and of picture settings, which go with a model's weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from transformers import PreTrainedConfig

from vlreward.collation.picture_preparation import first_known, read_preprocessor
from vlreward.modeling import backbones

_TEXT_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "video_preprocessor_config.json",
)
_PICTURE_FILES = ("preprocessor_config.json", "processor_config.json")


def copy_text_files(
    source: Path,
    folder: Path,
    *,
    config: PreTrainedConfig,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> None:
    """Copies tokenizer and picture settings as they are, but for pixel limits that are given.

    preprocessor_config.json is always written for a Qwen model, since transformers 4.51 reads no
    other; transformers 5 itself writes processor_config.json alone.
    """
    is_qwen = config.model_type in backbones.QWEN_TYPES
    for name in _TEXT_FILES if is_qwen else (*_TEXT_FILES, *_PICTURE_FILES):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    if not is_qwen:
        return
    preprocessor = read_preprocessor(source)
    size = dict(preprocessor.get("size") or {})
    limits = {
        "min_pixels": ("shortest_edge", min_pixels),
        "max_pixels": ("longest_edge", max_pixels),
    }
    for key, (edge, limit) in limits.items():
        effective = first_known(limit, preprocessor.get(key), size.get(edge))
        if effective is not None:
            preprocessor[key] = size[edge] = effective
    preprocessor["size"] = size
    text = json.dumps(preprocessor, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
