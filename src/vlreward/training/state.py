"""A training run's checkpoints: written whole, verified when read, enough to go on bit for bit.

A checkpoint is a folder `step-00000042-00` (step and stage) with tensors in safetensors, all else
in JSON, and a manifest of sha-256 sums. The newest valid one is used; damaged ones are named and
skipped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vlreward.durable import AtomicFolder, verify_manifest
from vlreward.errors import CheckpointError, VlrewardError
from vlreward.training.optimizer import MasterOptimizer

_MODEL = "model.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_RANDOM = "random.safetensors"
_POSITION = "position.json"
_FIXED = "fixed.json"
_PREFIX = "step-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far a run has come: all counts are of finished work.

    `step` counts optimizer steps over all stages, `stage_step` those of the stage.
    """

    step: int = 0
    stage: int = 0
    stage_step: int = 0

    def after_step(self) -> Position:
        """One optimizer step later."""
        return replace(self, step=self.step + 1, stage_step=self.stage_step + 1)

    def at_next_stage(self) -> Position:
        """At the start of the next stage."""
        return replace(self, stage=self.stage + 1, stage_step=0)


class SavedState(NamedTuple):
    """A verified checkpoint's content."""

    position: Position
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    fixed_sha256: str | None


class FixedWeights(NamedTuple):
    """Weights that a run loads from elsewhere and never changes; checkpoints hold their sum."""

    names: frozenset[str]
    sha256: str

    @classmethod
    def of(cls, model: nn.Module, names: Collection[str]) -> FixedWeights | None:
        """Those of these names, or None if there are none."""
        if not names:
            return None
        digest = hashlib.sha256()
        for name, tensor in model.state_dict().items():
            if name in names:
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
        return cls(frozenset(names), digest.hexdigest())


class Restored(NamedTuple):
    """The newest valid checkpoint, if there is one, and why newer ones were skipped."""

    state: SavedState | None
    skipped: list[str]


def save_state(
    folder: Path,
    position: Position,
    *,
    model: nn.Module,
    optimizer: MasterOptimizer | None,
    keep: int,
    fixed: FixedWeights | None = None,
) -> Path:
    """Writes a checkpoint whole or not at all, then removes all but the `keep` newest.

    Between two stages there is no `optimizer`: each stage begins with a new one.

    A checkpoint that lies later in the run is damaged, or it would have been resumed from: it goes
    too, and a damaged one of this very position is written anew.
    """
    target = folder / f"{_PREFIX}{position.step:08d}-{position.stage:02d}"
    if not _is_whole(target):
        shutil.rmtree(target, ignore_errors=True)
        with AtomicFolder(target) as unfinished:
            left_out = fixed.names if fixed else frozenset()
            weights = [item for item in model.state_dict().items() if item[0] not in left_out]
            tensors = {name: t.detach().cpu().contiguous() for name, t in weights}
            save_file(tensors, unfinished / _MODEL)
            moments = {} if optimizer is None else optimizer.state()
            save_file(moments, unfinished / _OPTIMIZER)
            save_file(_random_state(), unfinished / _RANDOM)
            (unfinished / _POSITION).write_text(json.dumps(asdict(position)), encoding="utf-8")
            if fixed is not None:
                sums = json.dumps({"sha256": fixed.sha256})
                (unfinished / _FIXED).write_text(sums, encoding="utf-8")
    kept = [path for path in list_checkpoints(folder) if path.name <= target.name][-keep:]
    for path in folder.glob(f"{_PREFIX}*"):
        if path not in kept:
            shutil.rmtree(path)
    return target


def list_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, the oldest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.suffix != ".tmp")


def load_newest(folder: Path) -> Restored:
    """The newest checkpoint that is whole; what is newer and damaged is described, not raised."""
    skipped: list[str] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            return Restored(_load(path), skipped)
        except VlrewardError as error:
            skipped.append(f"{path.name}: {error}")
    return Restored(None, skipped)


def restore_random(state: dict[str, Tensor]) -> None:
    """Sets torch's generators as they were."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _is_whole(path: Path) -> bool:
    try:
        verify_manifest(path)
    except CheckpointError:
        return False
    return True


def _load(path: Path) -> SavedState:
    verify_manifest(path)
    try:
        text = (path / _POSITION).read_text(encoding="utf-8")
        return SavedState(
            position=TypeAdapter(Position).validate_json(text),
            model=load_file(path / _MODEL),
            optimizer=load_file(path / _OPTIMIZER),
            random=load_file(path / _RANDOM),
            fixed_sha256=_read_fixed(path / _FIXED),
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            "checkpoint-damaged",
            value=str(error),
            place=str(path),
            expected="a whole checkpoint",
            mend="Remove the folder; an earlier checkpoint is used.",
        ) from error


def _read_fixed(path: Path) -> str | None:
    if not path.exists():
        return None
    return str(json.loads(path.read_text(encoding="utf-8"))["sha256"])
