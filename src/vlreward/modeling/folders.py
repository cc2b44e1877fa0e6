"""A model folder on disk: found (locally or on a hub), checked before anything of it is loaded.

Nothing in a folder is executed: weights are safetensors, the rest JSON. What asks for code, or
reaches outside its folder, is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from vlreward.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_HUB_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]


def find_model_folder(path_or_name: str, *, revision: str | None = None) -> Path:
    """The local folder of a model, fetched from the hub where the name is not a folder here.

    Raises CheckpointError if there is neither such a folder nor such a hub repository.
    """
    folder = Path(path_or_name).expanduser()
    if folder.is_dir():
        check_folder(folder, may_link_outside=False)
        return folder
    if folder.is_absolute() or path_or_name.startswith(".") or path_or_name.count("/") != 1:
        raise CheckpointError(
            "model-folder-missing",
            value=path_or_name,
            place="model path",
            expected="a folder with config.json, or a hub name such as owner/model",
            mend="Check the path.",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        found = snapshot_download(path_or_name, revision=revision, allow_patterns=_HUB_PATTERNS)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise CheckpointError(
            "model-not-fetched",
            value=path_or_name,
            place="hub",
            expected="a local folder, or a hub repository that can be reached",
            mend=f"{str(error).splitlines()[0]} Download it elsewhere and give the folder's path.",
        ) from error
    check_folder(Path(found), may_link_outside=True)
    return Path(found)


def check_folder(folder: Path, *, may_link_outside: bool) -> None:
    """Refuses a folder that asks for remote code or whose shards lie outside it.

    `may_link_outside` lets files be links, as they are in the hub's own cache. Raises
    CheckpointError.
    """
    config = read_json(folder / "config.json")
    if "auto_map" in config:
        raise CheckpointError(
            "model-wants-remote-code",
            value="auto_map in config.json",
            place=str(folder),
            expected="a model class of transformers",
            mend="vlreward runs no code from model folders; use a transformers-native copy.",
        )
    for shard in shard_paths(folder):
        outside = folder.resolve() not in shard.resolve().parents
        if ".." in shard.parts or (outside and not may_link_outside):
            raise CheckpointError(
                "model-shard-outside",
                value=str(shard),
                place=str(folder),
                expected="shards inside the model folder",
                mend="Copy the shards into the folder.",
            )


def shard_paths(folder: Path) -> list[Path]:
    """The folder's weight files, in the order of their names.

    Raises CheckpointError if there are none in safetensors.
    """
    if (folder / INDEX).exists():
        weight_map = read_json(folder / INDEX).get("weight_map")
        if isinstance(weight_map, dict) and all(isinstance(v, str) for v in weight_map.values()):
            return [folder / name for name in sorted(set(weight_map.values()))]
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    raise CheckpointError(
        "model-weights-missing",
        value=", ".join(sorted(path.name for path in folder.glob("*")))[:200] or "an empty folder",
        place=str(folder),
        expected=f"{SINGLE}, or {INDEX} with its shards",
        mend="Save the model with safetensors; pickled weights (.bin, .pth) are not read.",
    )


def find_tensor(folder: Path, name: str) -> Any | None:
    """One tensor of the folder's shards by its full name, or None if no shard has it."""
    for path in shard_paths(folder):
        try:
            with safe_open(path, framework="pt") as shard:
                if name in shard.keys():  # noqa: SIM118 - safe_open is not a mapping
                    return shard.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                "model-shard-damaged",
                value=str(error),
                place=str(path),
                expected="a whole safetensors file",
                mend="Fetch the model again.",
            ) from error
    return None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder; raises CheckpointError if it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            "model-json-unreadable",
            value=str(error),
            place=str(path),
            expected="a JSON object",
            mend="Check that this is the folder of a model and that it is complete.",
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            "model-json-unreadable",
            value=type(value).__name__,
            place=str(path),
            expected="a JSON object",
            mend="Fetch the model again.",
        )
    return value
