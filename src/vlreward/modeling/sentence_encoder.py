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

_BATCH = 64


class SentenceEncoder:
    """A transformer whose mean last state is the text's vector, such as all-MiniLM-L6-v2."""

    def __init__(self, folder: Path, *, max_length: int = 256, device: str = "cpu") -> None:
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
        if not pooling.get("pooling_mode_mean_tokens"):
            raise CheckpointError(
                "pooling-unknown",
                value=pooling,
                place=str(folder / "1_Pooling" / "config.json"),
                expected="mean pooling",
                mend="Choose an encoder whose vectors are means, such as all-MiniLM-L6-v2.",
            )
        self.name = folder.name
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, use_safetensors=True).to(device).eval()
        self._max_length = max_length
        self._device = device

    @classmethod
    def load(cls, name: str, *, device: str = "cpu") -> SentenceEncoder:
        """The encoder in a folder, or on the hub by its name."""
        if Path(name).is_dir():
            return cls(Path(name), device=device)
        from huggingface_hub import snapshot_download

        files = ["*.json", "*.safetensors", "vocab.txt"]
        return cls(Path(snapshot_download(name, allow_patterns=files)), device=device)

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
