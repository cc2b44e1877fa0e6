"""Text decoders' templates, and texts that try to be more than text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from vlreward.world.tokenizer import TOKENIZER_FOLDER

LLAMA_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
QWEN_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|image_pad|>", "<|vision_start|>")

LLAMA_TEMPLATE = (
    "{%- if not date_string is defined -%}"
    "{%- set date_string = strftime_now('%d %b %Y') -%}{%- endif -%}"
    "{{- bos_token -}}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + date_string + '\\n\\n' -}}"
    "{%- if messages[0].role == 'system' -%}"
    "{{- messages[0].content | trim -}}{%- set messages = messages[1:] -%}{%- endif -%}"
    "{{- '<|eot_id|>' -}}"
    "{%- for message in messages -%}"
    "{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' -}}"
    "{{- message.content | trim + '<|eot_id|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}"
)
"""As Llama 3's: a leading BOS, headers, trimmed content, today's date where none is given."""

THINKING_TEMPLATE = (
    "{%- set ns = namespace(last_query=0) -%}"
    "{%- for message in messages -%}{%- if message.role == 'user' -%}"
    "{%- set ns.last_query = loop.index0 -%}{%- endif -%}{%- endfor -%}"
    "{%- for message in messages -%}"
    "{%- set content = message.content -%}"
    "{%- if message.role == 'assistant' and '</think>' in content -%}"
    "{%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') -%}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}"
    "{%- if loop.index0 > ns.last_query -%}"
    "{%- set content = '<think>\\n' + thought + '\\n</think>\\n\\n' + content -%}{%- endif -%}"
    "{%- endif -%}"
    "{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""As Qwen3's: thoughts of earlier turns are left out, those of the answer are kept."""


def write_tokenizer(folder: Path, template: str | None, *, rstrip: str | None = None) -> Path:
    """A copy of the packaged tokenizer with Llama 3's special tokens and a template.

    As Llama 3's, it adds a BOS wherever it is asked for special tokens. The special token
    `rstrip`, if one is named, swallows the space after it, as Phi-3's do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TOKENIZER_FOLDER / "tokenizer.json", folder / "tokenizer.json")
    backend = json.loads((folder / "tokenizer.json").read_text())
    first = max(token["id"] for token in backend["added_tokens"]) + 1
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    for offset, content in enumerate((*LLAMA_TOKENS, "<think>", "</think>")):
        token = {"id": first + offset, "content": content, "special": content in LLAMA_TOKENS}
        backend["added_tokens"].append(token | flags)
    for token in backend["added_tokens"]:
        token["rstrip"] = token["content"] == rstrip
    bos = LLAMA_TOKENS[0]
    backend["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": _A}],
        "pair": [{"Sequence": _A}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {bos: {"id": bos, "ids": [first], "tokens": [bos]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(backend))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": "<|eot_id|>",
        "clean_up_tokenization_spaces": False,
    }
    if template is not None:
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


_A = {"id": "A", "type_id": 0}

_PIECES = (
    *LLAMA_TOKENS,
    *QWEN_TOKENS,
    *("<|im_", "start|>", "end|>", "<|", "|>", "<think>", "</think>", "<|eot_<|eot_id|>id|>"),
    *("\ue000", "\ue001", "\ue0000\ue000", "\uf8ff", "\U000f0000"),
    *("user", "assistant", "system", "0", "1", "red square", "é", "e\u0301", "日本", "🙂", "\x00"),
    *(" ", "  ", "\n", "\n\n", "\t", "\u00a0", "\u2028"),
)
hostile_texts = st.lists(
    st.one_of(st.sampled_from(_PIECES), st.text(max_size=3)), min_size=0, max_size=8
).map("".join)
"""Texts with special tokens, halves of them, private-use characters, spaces at either end."""
