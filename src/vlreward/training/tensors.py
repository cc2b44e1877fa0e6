"""Tensors on the disk, and what identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vlreward.durable import not_writable
from vlreward.training.sharding import whole


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes a safetensors file; raises ConfigError where there is no room, or no right to."""
    on_host = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(on_host, path)
    except (OSError, SafetensorError) as error:
        raise not_writable(path, error) from error


def sha256_of(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Of names, types, shapes and values in their order; all processes of a sharded one ask."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        values = whole(tensor.detach()).cpu().contiguous()
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
