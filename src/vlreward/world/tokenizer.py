"""Where the small tokenizer lies: byte-level BPE in Qwen's format with Qwen's special tokens.

The folder also holds the chat template and the picture processor's settings of Qwen2.5-VL. It was
made by `vlreward.world.train_tokenizer`.
"""

from __future__ import annotations

from pathlib import Path

TOKENIZER_FOLDER: Path = Path(__file__).parent / "assets" / "tokenizer"
