"""Sentence encoders in the sentence-transformers layout, as an `Embedder`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer

from vlreward.errors import CheckpointError
from vlreward.modeling.folders import find_model_folder, read_json

_BATCH = 64


class SentenceEncoder:
    """A transformer whose mean last state is the text's vector, such as all-MiniLM-L6-v2.

    Raises CheckpointError if the folder holds no such encoder.
    """

    def __init__(self, folder: Path, *, max_length: int = 256, device: str = "cpu") -> None:
        _check(folder)
        self.name = folder.name
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, use_safetensors=True).to(device).eval()
        self._max_length = max_length
        self._device = device

    @classmethod
    def load(cls, name: str, *, device: str = "cpu") -> SentenceEncoder:
        """The encoder in a folder, or on the hub by its name; raises CheckpointError."""
        return cls(find_model_folder(name), device=device)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [texts, dimensions]."""
        width = self._model.config.hidden_size
        vectors = np.zeros((len(texts), width), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda at: (len(texts[at]), texts[at]))
        for start in range(0, len(texts), _BATCH):
            at = by_length[start : start + _BATCH]
            vectors[at] = self._embed_batch([texts[one] for one in at])
        return vectors

    @torch.inference_mode()
    def _embed_batch(self, texts: list[str]) -> npt.NDArray[np.float32]:
        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_length, return_tensors="pt"
        ).to(self._device)
        states = self._model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1)
        found: npt.NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return found


_MODULES = {"Transformer", "Pooling", "Normalize"}


def _check(folder: Path) -> None:
    """Raises CheckpointError unless the encoder is a transformer with mean pooling and no more."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = {str(module["type"]).rpartition(".")[2] for module in modules}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(folder, f"no list of modules in modules.json: {error}") from error
    takes_mean = read_json(folder / "1_Pooling" / "config.json").get("pooling_mode_mean_tokens")
    if kinds - _MODULES or not takes_mean:
        raise _unusable(folder, f"modules {', '.join(sorted(kinds))}, mean {takes_mean}")


def _unusable(folder: Path, found: str) -> CheckpointError:
    return CheckpointError(
        "encoder-unusable",
        value=found,
        place=str(folder),
        expected="a sentence encoder whose vectors are means of a transformer's states",
        mend="Choose one such as sentence-transformers/all-MiniLM-L6-v2, by name or folder.",
    )
