"""`vlreward doctor`: whether a run fits the hardware, and how long it takes, before it is begun."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from vlreward.modeling.checkpoints import read_config
from vlreward.modeling.config import ModelConfig
from vlreward.modeling.folders import find_config_folder
from vlreward.training.footprint import Workload, footprint

_GIB = 2**30
_SPARE = 0.9
"""Of a device's memory, what a run may plan with: the rest goes to kernels and fragments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """The devices of a run, one for each of its processes."""

    device_gib: float
    tflops: float
    """Operations a second of a device, in 10¹²."""
    utilisation: float
    """Which share of them a run gets."""


def examine(
    model: ModelConfig, work: Workload, hardware: Hardware, *, num_pairs: int, epochs: int
) -> dict[str, Any]:
    """All that is said, as JSON values; raises CheckpointError or ConfigError as `footprint`."""
    assert model.path is not None
    folder = find_config_folder(model.path, revision=model.revision)
    found = footprint(read_config(folder, needs_weights=False), model, work)
    num_steps = math.ceil(num_pairs / work.batch_size) * epochs
    speed = work.num_processes * hardware.tflops * 1e12 * hardware.utilisation
    total = sum(found.memory.values())
    return {
        "model": model.path,
        "num_devices": work.num_processes,
        "device_gib": hardware.device_gib,
        "tflops": hardware.tflops,
        "utilisation": hardware.utilisation,
        "num_pairs": num_pairs,
        "epochs": epochs,
        "batch_size": work.batch_size,
        "parameters": found.parameters,
        "trained_parameters": found.num_trained,
        "memory_gib": {name: value / _GIB for name, value in found.memory.items()},
        "memory_total_gib": total / _GIB,
        "fits": total <= _SPARE * hardware.device_gib * _GIB,
        "ways_out": _ways_out(model),
        "pairs_a_row": work.pairs_a_row,
        "rows_a_step": work.rows_a_step,
        "tokens_a_step": work.batch_size * work.pair_tokens,
        "petaflop_a_step": found.operations / 1e15,
        "steps": num_steps,
        "hours": num_steps * found.operations / speed / 3600,
        "checkpoint_gib": found.checkpoint_bytes / _GIB,
    }


def describe(found: dict[str, Any]) -> str:
    """What was found, for people."""
    parts = ", ".join(f"{name} {_number(n)}" for name, n in found["parameters"].items())
    *ways, last = found["ways_out"]
    lines = [
        f"{found['model']}: {_number(sum(found['parameters'].values()))} parameters ({parts}), "
        f"{_number(found['trained_parameters'])} of them trained.",
        "",
        f"A step of {found['batch_size']} pairs: {found['tokens_a_step']:,} tokens, "
        f"{found['rows_a_step']} row(s) of {found['pairs_a_row']} pairs on each of "
        f"{found['num_devices']} device(s), {found['petaflop_a_step']:.3g} PFLOP.",
        f"{found['epochs']} epochs of {found['num_pairs']:,} pairs: {found['steps']:,} steps, "
        f"{found['hours']:.3g} hours at {found['utilisation']:.0%} of {found['tflops']:g} TFLOP/s "
        "each.",
        "",
        f"Memory of each device, of {found['device_gib']:g} GiB:",
        *(f"  {name:32}{value:8.2f} GiB" for name, value in found["memory_gib"].items()),
        f"  {'in all':32}{found['memory_total_gib']:8.2f} GiB",
        "",
        f"A checkpoint takes {found['checkpoint_gib']:.1f} GiB on the disk.",
        "",
        "It fits." if found["fits"] else f"It does not fit: try {', '.join(ways)} or {last}.",
    ]
    return "\n".join(lines)


def _ways_out(model: ModelConfig) -> list[str]:
    """What makes a run smaller that it does not do yet."""
    return [
        "more devices",
        *(["--gradient-checkpointing"] if not model.gradient_checkpointing else []),
        *(["--lora-rank 64"] if not model.lora_rank else []),
        "a smaller --token-budget",
    ]


def _number(count: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return str(count)
