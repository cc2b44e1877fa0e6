"""Which weights exactly a configuration runs, so that a resumed run does not mix two models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from vlreward.durable import MANIFEST
from vlreward.evaluation.scorers.config import ScorerConfig, WeightsConfig, parts_of
from vlreward.generation.config import EndpointConfig
from vlreward.modeling.folders import find_model_folder

_WEIGHTS = ("*.safetensors", "*.bin", "config.json")


def weights_of(config: ScorerConfig) -> Iterator[WeightsConfig]:
    """All weights that are loaded into this process."""
    for part in parts_of(config):
        found = [
            part.reward_model,
            part.judge.local if part.judge else None,
            part.implicit.policy if part.implicit else None,
            part.implicit.reference if part.implicit else None,
            part.process.model if part.process else None,
            part.captions.local if part.captions else None,
        ]
        yield from (one for one in found if one is not None)


def endpoints_of(config: ScorerConfig) -> Iterator[EndpointConfig]:
    """All endpoints that are asked."""
    for part in parts_of(config):
        found = [
            part.judge.endpoint if part.judge else None,
            part.captions.endpoint if part.captions else None,
        ]
        yield from (one for one in found if one is not None)


def identities(config: ScorerConfig, *, only_local: bool = False) -> dict[str, str]:
    """Of every model that runs on this machine, by its path or hub name, what tells its weights.

    That is the hub's commit, or a digest: of the folder's manifest, else of the sizes and times of
    its weight files. A model that runs by its own code is known by its revision or its files. Names
    on the hub are looked up there, and fetched. Raises CheckpointError if a model is not there.
    With `only_local`, what is not on this machine is left out.
    """
    found = {}
    for one in weights_of(config):
        if only_local and not Path(one.path).expanduser().is_dir():
            continue
        found[one.path] = _identity(find_model_folder(one.path, revision=one.revision))
    for part in parts_of(config):
        remote = part.remote_code
        if remote is not None:
            folder = Path(remote.path).expanduser()
            revision = remote.revision or "the newest revision"
            found[remote.path] = _identity(folder) if folder.is_dir() else revision
    return found


def _identity(folder: Path) -> str:
    place = folder.resolve()
    if place.parent.name == "snapshots":
        return f"commit {place.name}"
    manifest = folder / MANIFEST
    if manifest.exists():
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        told = {name: one for name, one in files.items() if not name.endswith(".md")}
        return f"sha256 {_digest(told)} of the manifest"
    stats = {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns)
        for pattern in _WEIGHTS
        for path in folder.glob(pattern)
    }
    return f"sha256 {_digest(stats)} of sizes and times"


def _digest(value: object) -> str:
    body = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()[:32]
