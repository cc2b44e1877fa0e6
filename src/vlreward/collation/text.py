"""Text to token ids, where only the template may make a control token.

A tokenizer meets `<|im_end|>` in a user's text: it must be read as eleven characters, not as the
end of the turn. `Tokenizer.encode` therefore never makes special tokens; templates ask for them
by name with `Tokenizer.control`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

import tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from vlreward.errors import CheckpointError, DataError


class Tokenizer:
    """A checkpoint's tokenizer, with text and control tokens kept apart."""

    def __init__(self, hugging_face: PreTrainedTokenizerFast) -> None:
        """Raises CheckpointError if the tokenizer cannot keep its special tokens out of text."""
        self.hugging_face = hugging_face
        self.control_tokens: dict[str, int] = {
            token.content: token_id
            for token_id, token in hugging_face.added_tokens_decoder.items()
            if token.special
        }
        self._backend = tokenizers.Tokenizer.from_str(hugging_face.backend_tokenizer.to_str())
        self._backend.encode_special_tokens = True
        self._backend.no_truncation()
        self._backend.no_padding()
        self.control_pattern = re.compile(
            "|".join(re.escape(token) for token in sorted(self.control_tokens, key=len)[::-1])
            or r"(?!)"
        )
        self.encode = lru_cache(maxsize=4096)(self._encode)
        self._refuse_leaks()
        if self._encode("a") == self._encode("b"):
            raise CheckpointError(
                "tokenizer-empty",
                value="a tokenizer without a vocabulary",
                place="tokenizer",
                expected="tokenizer.json with the vocabulary of the backbone",
                mend="Copy the tokenizer files of the base model into the folder.",
            )

    def control(self, token: str) -> int:
        """The id of a special token; raises CheckpointError if the vocabulary lacks it."""
        if token not in self.control_tokens:
            raise CheckpointError(
                "tokenizer-lacks-control-token",
                value=f"a vocabulary without {token!r}",
                place="tokenizer",
                expected=f"the special token {token!r}",
                mend="Use the tokenizer that belongs to the backbone.",
            )
        return self.control_tokens[token]

    def _encode(self, text: str) -> tuple[int, ...]:
        """The text's ids; raises DataError if it is no Unicode text."""
        try:
            return tuple(self._backend.encode(text, add_special_tokens=False).ids)
        except TypeError as error:
            raise DataError(
                "text-not-unicode",
                value=text,
                place="row",
                expected="a text without halves of surrogate pairs",
                mend="Write the text again in UTF-8.",
            ) from error

    def _refuse_leaks(self) -> None:
        control_ids = set(self.control_tokens.values())
        for token in self.control_tokens:
            if control_ids.intersection(self._encode(token)):
                raise CheckpointError(
                    "tokenizer-leaks-control-tokens",
                    value=f"the text {token!r} becomes a control token",
                    place="tokenizer",
                    expected="a tokenizer that can read its special tokens as plain text",
                    mend="Use the tokenizer as its authors published it, or another backbone.",
                )


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder; raises CheckpointError if there is none to be had."""
    try:
        loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise CheckpointError(
            "tokenizer-unreadable",
            value=" ".join(str(error).split()),
            place=str(folder),
            expected="tokenizer.json and tokenizer_config.json of a fast tokenizer",
            mend="Copy the tokenizer files of the base model into the folder.",
        ) from error
    if not isinstance(loaded, PreTrainedTokenizerFast):
        raise CheckpointError(
            "tokenizer-slow",
            value=type(loaded).__name__,
            place=str(folder),
            expected="a fast tokenizer (tokenizer.json)",
            mend="Convert it with transformers and save it into the folder.",
        )
    if not loaded.chat_template:
        loaded.chat_template = _separate_template(folder)
    return Tokenizer(loaded)


def _separate_template(folder: Path) -> str | None:
    """The chat template of older processors' folders, which tokenizers do not look for."""
    path = folder / "chat_template.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError:
        return None
    template = found.get("chat_template") if isinstance(found, dict) else None
    return template if isinstance(template, str) else None
