"""What the tests of judges are made from: comparisons, and scripts that look at what they see."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    GotOcr2ImageProcessorPil,
    InternVLConfig,
    InternVLForConditionalGeneration,
)

from tests.generation.making import prompt, verdict
from vlreward.evaluation.scorers.protocols import Duel
from vlreward.generation.scripted import Call, Says
from vlreward.records import Response
from vlreward.world.tokenizer import TOKENIZER_FOLDER

TILE = 28
TOKENS_PER_TILE = 4

WORDINGS = {
    "json": {"first": verdict("first"), "second": verdict("second")},
    "overall-judgment": {
        "first": "Overall Judgment: Answer 1 is better.",
        "second": "Overall Judgment: Answer 2 is better.",
    },
    "brackets": {"first": "[[A]]", "second": "[[B]]"},
}


def duel(first: str = "Left.", second: str = "Right.", *, question: object = "Which?") -> Duel:
    asked = question if isinstance(question, tuple) else (question,)
    return prompt(*asked), Response(content=(first,)), Response(content=(second,))


def shown(call: Call, name: str) -> str:
    """What the judge was shown in a block."""
    pattern = rf"<<<{name} (\w{{16}})>>>\n(.*)\n<<<end of {name} \1>>>"
    return re.findall(pattern, call.text, re.DOTALL)[-1][1]


def prefers(text: str, *, form: str = "json"):
    """A judge who finds the answer that holds this text better, wherever it stands."""

    def script(call: Call) -> Says:
        return Says(text=WORDINGS[form]["first" if text in shown(call, "first") else "second"])

    return script


def seen_hashes(call: Call) -> list[str]:
    """The sha-256 of every picture that arrived, in order."""
    return [
        hashlib.sha256(base64.b64decode(part["image_url"]["url"].partition(",")[2])).hexdigest()
        for message in call.body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def write_internvl(folder: Path) -> Path:
    """A random InternVL3 with the packaged tokenizer and its own picture tokens."""
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER_FOLDER)
    names = ["<img>", "</img>", "<IMG_CONTEXT>"]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    text = {
        "model_type": "qwen2",
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": [TILE, TILE],
        "patch_size": [7, 7],
    }
    config = InternVLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=TOKENS_PER_TILE,
        tie_word_embeddings=False,
    )
    model = InternVLForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0.0, 0.08)
    model.save_pretrained(folder)
    GotOcr2ImageProcessorPil(size={"height": TILE, "width": TILE}).save_pretrained(folder)
    return folder
