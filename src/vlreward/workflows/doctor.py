"""`vlreward doctor`: whether a run fits the hardware, and how long it takes, before it is begun."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from vlreward.arguments import DoctorArguments
from vlreward.modeling.checkpoints import read_config
from vlreward.modeling.config import ModelConfig
from vlreward.modeling.folders import find_config_folder
from vlreward.training.footprint import Footprint, Workload, footprint

_GIB = 2**30
_SPARE = 0.9
"""Of a device's memory, what a run may plan with: the rest goes to kernels and fragments."""


def examine(given: DoctorArguments) -> dict[str, Any]:
    """All that is said, as JSON values; raises CheckpointError or ConfigError as `footprint`."""
    folder: Path = find_config_folder(given.model, revision=given.revision)
    model = ModelConfig(
        path=given.model,
        dtype=given.dtype,
        lora_rank=given.lora_rank,
        gradient_checkpointing=given.gradient_checkpointing,
    )
    work = Workload(
        batch_size=given.batch_size,
        prompt_tokens=given.prompt_tokens,
        picture_tokens=given.picture_tokens,
        answer_tokens=given.answer_tokens,
        token_budget=given.token_budget,
        num_processes=given.num_devices,
        encoded_ahead=given.encoded_ahead,
    )
    found = footprint(read_config(folder, needs_weights=False), model, work)
    return _described(given, work, found)


def _described(given: DoctorArguments, work: Workload, found: Footprint) -> dict[str, Any]:
    num_steps = math.ceil(given.num_pairs / work.batch_size) * given.epochs
    speed = given.num_devices * given.tflops * 1e12 * given.utilisation
    total = sum(found.memory.values())
    return {
        "parameters": found.parameters,
        "trained_parameters": found.num_trained,
        "memory_gib": {name: value / _GIB for name, value in found.memory.items()},
        "memory_total_gib": total / _GIB,
        "fits": total <= _SPARE * given.device_gib * _GIB,
        "pairs_a_row": work.pairs_a_row,
        "rows_a_step": work.rows_a_step,
        "tokens_a_step": work.batch_size * work.pair_tokens,
        "petaflop_a_step": found.operations / 1e15,
        "steps": num_steps,
        "hours": num_steps * found.operations / speed / 3600,
        "checkpoint_gib": found.checkpoint_bytes / _GIB,
    }


def describe(given: DoctorArguments, found: dict[str, Any]) -> str:
    """What was found, for people."""
    parts = ", ".join(f"{name} {_number(n)}" for name, n in found["parameters"].items())
    lines = [
        f"{given.model}: {_number(sum(found['parameters'].values()))} parameters ({parts}), "
        f"{_number(found['trained_parameters'])} of them trained.",
        "",
        f"A step of {given.batch_size} pairs: {found['tokens_a_step']:,} tokens, "
        f"{found['rows_a_step']} row(s) of {found['pairs_a_row']} pairs on each of "
        f"{given.num_devices} device(s), {found['petaflop_a_step']:.3g} PFLOP.",
        f"{given.epochs} epochs of {given.num_pairs:,} pairs: {found['steps']:,} steps, "
        f"{found['hours']:.3g} hours at {given.utilisation:.0%} of {given.tflops:g} TFLOP/s each.",
        "",
        f"Memory of each device, of {given.device_gib:g} GiB:",
        *(f"  {name:32}{value:8.2f} GiB" for name, value in found["memory_gib"].items()),
        f"  {'in all':32}{found['memory_total_gib']:8.2f} GiB",
        "",
        f"A checkpoint takes {found['checkpoint_gib']:.1f} GiB on the disk.",
        "",
        "It fits." if found["fits"] else "It does not fit: " + _advice(given),
    ]
    return "\n".join(lines)


def _advice(given: DoctorArguments) -> str:
    ways = [
        "more devices",
        *(["--gradient-checkpointing"] if not given.gradient_checkpointing else []),
        *(["--lora-rank 64"] if not given.lora_rank else []),
        "a smaller --token-budget",
    ]
    return f"try {', '.join(ways[:-1])} or {ways[-1]}."


def _number(count: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return str(count)
