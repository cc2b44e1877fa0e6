"""The packaged tokenizer: Qwen's format, nothing lost, digits alone, special tokens last."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from vlreward.world.tokenizer import TOKENIZER_FOLDER
from vlreward.world.train_tokenizer import SPECIAL_TOKENS, VOCABULARY_SIZE, write_folder

PARAGRAPH = (
    "A reward model compares two answers to the same question and gives the better one a higher "
    "number. A good judge looks at the picture first, reads both answers with care, and checks "
    "every step of the reasoning before it decides. In 1905, Albert Einstein published four "
    "papers that changed physics; each answered a question that had troubled scientists for "
    "decades. Birds in the garden sing early in the morning, while the city still sleeps."
)
CONVERSATION = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which shape?"}]},
    {"role": "assistant", "content": "A circle."},
]
LAID_OUT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Which shape?<|im_end|>\n"
    "<|im_start|>assistant\nA circle.<|im_end|>\n"
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(TOKENIZER_FOLDER / "tokenizer.json"))


@given(text=st.text())
def test_any_text_survives_the_round_trip(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == unicodedata.normalize("NFC", text)


def test_every_digit_is_its_own_token(tokenizer: Tokenizer) -> None:
    tokens = [token.lstrip("Ġ") for token in tokenizer.encode("In 1905: 3.14159 × 20").tokens]
    assert [token for token in tokens if any(map(str.isdigit, token))] == list("190531415920")


def test_special_tokens_are_whole_and_take_the_last_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == VOCABULARY_SIZE
    ids = [tokenizer.encode(token).ids for token in SPECIAL_TOKENS]
    first = VOCABULARY_SIZE - len(SPECIAL_TOKENS)
    assert ids == [[index] for index in range(first, VOCABULARY_SIZE)]


def test_english_takes_at_least_three_characters_a_token(tokenizer: Tokenizer) -> None:
    assert len(PARAGRAPH) / len(tokenizer.encode(PARAGRAPH).ids) >= 3


def test_the_assets_stay_small() -> None:
    assert sum(path.stat().st_size for path in TOKENIZER_FOLDER.iterdir()) < 700_000


def test_transformers_reads_the_same_tokenizer(tokenizer: Tokenizer) -> None:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(TOKENIZER_FOLDER)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    for text in (PARAGRAPH, LAID_OUT, "é½ × 12\n\n  if x:\t🙂"):
        assert loaded(text)["input_ids"] == tokenizer.encode(text).ids
    assert (loaded.eos_token, loaded.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_the_chat_template_lays_a_conversation_out_as_qwen_does() -> None:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(TOKENIZER_FOLDER)
    assert loaded.apply_chat_template(CONVERSATION, tokenize=False) == LAID_OUT
    asked = loaded.apply_chat_template(
        [{"role": "system", "content": " Be brief. "}, CONVERSATION[0]],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert asked.startswith("<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\n")
    assert asked.endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_pictures_are_prepared_with_qwens_settings() -> None:
    config = json.loads((TOKENIZER_FOLDER / "preprocessor_config.json").read_text())
    assert config["image_processor_type"] == "Qwen2VLImageProcessor"
    assert (config["patch_size"], config["merge_size"], config["min_pixels"]) == (14, 2, 3136)


@pytest.mark.slow
def test_training_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_folder(tmp_path / name)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
