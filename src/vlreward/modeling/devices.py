"""Where to compute, and how exactly: the GPU if there is one, and its precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from vlreward.errors import ConfigError

DtypeName = Literal["auto", "float32", "bfloat16", "float16"]


def find_device(name: str | None) -> torch.device:
    """The named device, else the GPU if there is one; raises ConfigError if it is not there."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "device-missing",
            value=name,
            place="device",
            expected="cpu, cuda, cuda:1 or another device that torch can use here",
            mend="Leave device out to take the GPU if there is one, else the CPU.",
        ) from error
    return device


def find_dtype(name: DtypeName, *, device: torch.device) -> torch.dtype:
    """The named type; `auto` is float32 on the CPU and bfloat16 on a GPU."""
    if name == "auto":
        name = "bfloat16" if device.type == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """For a while, torch uses only kernels that give the same bits each time.

    It raises RuntimeError where it has none. cuBLAS has them only in a process that began with
    CUBLAS_WORKSPACE_CONFIG=:4096:8 in its environment.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
