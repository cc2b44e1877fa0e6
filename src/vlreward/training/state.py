"""A training run's checkpoints: written whole, verified when read, enough to go on bit for bit.

A checkpoint is a folder `step-00000042-00` (step and stage) with tensors in safetensors, all else
in JSON, and a manifest of sha-256 sums. The newest valid one is used; damaged ones are named and
skipped. One process writes `model` and `optimizer`, several a `shard` each with its parts of both;
any number of processes reads either.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vlreward.durable import AtomicFolder, is_whole, verify_manifest
from vlreward.errors import CheckpointError, VlrewardError
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.processes import ALONE, Processes
from vlreward.training.sharding import is_sharded, read_tensors, write_tensors
from vlreward.training.tensors import save_tensors, sha256_of

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
        found = ((name, t) for name, t in model.state_dict().items() if name in names)
        return cls(frozenset(names), sha256_of(found))


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
    processes: Processes = ALONE,
) -> Path:
    """Writes a checkpoint whole or not at all, then removes all but the `keep` newest.

    Between two stages there is no `optimizer`: each stage begins with a new one.

    A checkpoint that lies later in the run is damaged, or it would have been resumed from: it goes
    too, and a damaged one of this very position is written anew.
    """
    target = folder / f"{_PREFIX}{position.step:08d}-{position.stage:02d}"
    if not processes.from_first(lambda: is_whole(target)):
        if processes.is_first:
            shutil.rmtree(target, ignore_errors=True)
        with processes.entered_by_first(AtomicFolder(target)) as unfinished:
            left_out = fixed.names if fixed else frozenset()
            weights = {n: t for n, t in model.state_dict().items() if n not in left_out}
            moments = {} if optimizer is None else optimizer.state()
            if is_sharded(model):
                write_tensors(unfinished, {**weights, **moments})
            else:
                save_tensors(weights, unfinished / _MODEL)
                save_tensors(moments, unfinished / _OPTIMIZER)
            if processes.is_first:
                _write_rest(unfinished, position, fixed)
    if processes.is_first:
        _remove_all_but(keep, folder, newest=target)
    return target


def _write_rest(folder: Path, position: Position, fixed: FixedWeights | None) -> None:
    save_tensors(_random_state(), folder / _RANDOM)
    (folder / _POSITION).write_text(json.dumps(asdict(position)), encoding="utf-8")
    if fixed is not None:
        sums = json.dumps({"sha256": fixed.sha256})
        (folder / _FIXED).write_text(sums, encoding="utf-8")


def _remove_all_but(keep: int, folder: Path, *, newest: Path) -> None:
    kept = [path for path in list_checkpoints(folder) if path.name <= newest.name][-keep:]
    for path in folder.glob(f"{_PREFIX}*"):
        if path not in kept:
            shutil.rmtree(path)


def list_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, the oldest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.suffix != ".tmp")


def load_newest(folder: Path, *, like: nn.Module, processes: Processes = ALONE) -> Restored:
    """The newest checkpoint that is whole; what is newer and damaged is described, not raised.

    Where the network `like` is spread over processes, so are the tensors.
    """
    skipped: list[str] = []
    for path in reversed(processes.from_first(lambda: list_checkpoints(folder))):
        try:
            processes.from_first(partial(verify_manifest, path))
            return Restored(_load(path, like=like), skipped)
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


def _load(path: Path, *, like: nn.Module) -> SavedState:
    try:
        text = (path / _POSITION).read_text(encoding="utf-8")
        model, optimizer = _read_tensors(path, like=like)
        return SavedState(
            position=TypeAdapter(Position).validate_json(text),
            model=model,
            optimizer=optimizer,
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


def _read_tensors(path: Path, *, like: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights, and the optimizer's tensors."""
    if (path / _MODEL).exists() and not is_sharded(like):
        return load_file(path / _MODEL), load_file(path / _OPTIMIZER)
    tensors = read_tensors(path, like=like, without={_RANDOM})
    weights = like.state_dict().keys() & tensors.keys()
    model = {name: tensors.pop(name) for name in weights}
    return model, tensors


def _read_fixed(path: Path) -> str | None:
    if not path.exists():
        return None
    return str(json.loads(path.read_text(encoding="utf-8"))["sha256"])
