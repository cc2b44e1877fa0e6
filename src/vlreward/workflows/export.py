"""`vlreward export`: a reward model read in any layout and written in another."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from vlreward.modeling.checkpoints import (
    FolderLayout,
    load_checkpoint,
    save_checkpoint,
)
from vlreward.modeling.folders import CARD_FILE, find_model_folder


def export_model(
    model: str,
    output: Path,
    *,
    revision: str | None,
    layout: FolderLayout,
    dtype: Literal["float32", "bfloat16", "float16"],
) -> None:
    """Writes the folder whole or not at all, its card too; `model` is a folder or a hub name.

    Raises CheckpointError if the model cannot be used or the layout cannot hold it, and
    ConfigError if something lies at `output` already.
    """
    folder = find_model_folder(model, revision=revision)
    checkpoint = load_checkpoint(folder, dtype=getattr(torch, dtype))
    card = folder / CARD_FILE
    text = card.read_text(encoding="utf-8") if card.exists() else None
    save_checkpoint(checkpoint, output, layout=layout, card=text)
