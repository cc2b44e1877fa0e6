"""A model folder on disk: found (locally or on a hub), checked before anything of it is loaded.

Nothing in a folder is executed: weights are safetensors, the rest JSON. What asks for code, or
reaches outside its folder, is refused.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

from safetensors import SafetensorError, safe_open

from vlreward.errors import CheckpointError, ConfigError

INDEX = "model.safetensors.index.json"
CARD_FILE = "README.md"
SINGLE = "model.safetensors"
SHIPPED = {
    name: Path(__file__).parent.parent / "models" / name for name in ("miniature", "miniature-base")
}
"""The models that lie in this package, by the names that stand for them."""
_HUB_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]


def find_model_folder(path_or_name: str, *, revision: str | None = None) -> Path:
    """The local folder of a model: a shipped one's, one here, or one fetched from the hub.

    Raises CheckpointError if there is neither such a folder nor such a hub repository, and
    ConfigError if a revision is asked of a local folder.
    """
    folder = find_local_folder(path_or_name, revision=revision)
    return _fetched(path_or_name, revision=revision) if folder is None else folder


def find_config_folder(path_or_name: str, *, revision: str | None = None) -> Path:
    """As `find_model_folder`, but its configuration is enough, and no more is fetched."""
    folder = find_local_folder(path_or_name, revision=revision, needs_weights=False)
    if folder is not None:
        return folder
    return _fetched(path_or_name, revision=revision, needs_weights=False)


def find_local_folder(
    path_or_name: str, *, revision: str | None = None, needs_weights: bool = True
) -> Path | None:
    """As `find_model_folder`, but None for a name that only a hub can know."""
    folder = Path(path_or_name).expanduser()
    if not folder.is_dir():
        folder = SHIPPED.get(path_or_name, folder)
    if folder.is_dir():
        if revision is not None:
            raise ConfigError(
                "revision-of-a-folder",
                value=revision,
                place="revision",
                expected=f"none, as {path_or_name} lies on this machine",
                mend="Leave it out, or give the hub name.",
            )
        check_folder(folder, needs_weights=needs_weights)
        return folder
    if folder.is_absolute() or path_or_name.startswith(".") or path_or_name.count("/") != 1:
        raise CheckpointError(
            "model-folder-missing",
            value=path_or_name,
            place="model path",
            expected="a folder with config.json, a hub name such as owner/model, or "
            f"{' or '.join(SHIPPED)}",
            mend="Check the path.",
        )
    return None


def _fetched(name: str, *, revision: str | None, needs_weights: bool = True) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = _HUB_PATTERNS if needs_weights else ["config.json"]
    try:
        found = snapshot_download(name, revision=revision, allow_patterns=patterns)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            "model-not-fetched",
            value=name,
            place="hub",
            expected="a local folder, or a hub repository that can be reached",
            mend=f"{reason.rstrip('.')}. Download it elsewhere and give the folder's path.",
        ) from error
    check_folder(Path(found), needs_weights=needs_weights)
    return Path(found)


def check_folder(folder: Path, *, needs_weights: bool = True) -> None:
    """Refuses a folder that asks for remote code or whose files lie outside it.

    In the hub's own cache files are links into the `blobs` beside the `snapshots`; no other link
    may lead outside. Raises CheckpointError.
    """
    if not (folder / "config.json").exists() and (folder / "model" / "config.json").exists():
        raise CheckpointError(
            "model-folder-is-a-run",
            value="a run's folder",
            place=str(folder),
            expected="a model's folder, with its config.json",
            mend=f"Give {folder / 'model'}.",
        )
    config = read_json(folder / "config.json")
    if "auto_map" in config:
        raise CheckpointError(
            "model-wants-remote-code",
            value="auto_map in config.json",
            place=str(folder),
            expected="a model class of transformers",
            mend="vlreward runs no code from model folders; use a transformers-native copy.",
        )
    homes = {folder.resolve()}
    if folder.resolve().parent.name == "snapshots":
        homes.add((folder.resolve().parent.parent / "blobs").resolve())
    read = {path for pattern in _HUB_PATTERNS for path in folder.glob(pattern)}
    weights = shard_paths(folder) if needs_weights else []
    for path in sorted(read.union(weights)):
        if homes.isdisjoint(path.resolve().parents):
            raise CheckpointError(
                "model-file-outside",
                value=str(path),
                place=str(folder),
                expected="files inside the model folder",
                mend="Copy the file into the folder.",
            )


def shard_paths(folder: Path) -> list[Path]:
    """The folder's weight files, in the order of their names; one file goes before an index.

    Raises CheckpointError if there are none in safetensors, or the index is damaged or names
    files elsewhere.
    """
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    if (folder / INDEX).exists():
        weight_map = read_json(folder / INDEX).get("weight_map")
        names = set(weight_map.values()) if isinstance(weight_map, dict) else set()
        if not names or not all(isinstance(name, str) and _is_inside(name) for name in names):
            raise CheckpointError(
                "model-index-damaged",
                value=", ".join(sorted(map(str, names))) or "no weight_map",
                place=str(folder / INDEX),
                expected="a weight_map to safetensors files of this folder",
                mend="Fetch the model again.",
            )
        return [folder / name for name in sorted(names)]
    raise CheckpointError(
        "model-weights-missing",
        value=", ".join(sorted(path.name for path in folder.glob("*")))[:200] or "an empty folder",
        place=str(folder),
        expected=f"{SINGLE}, or {INDEX} with its shards",
        mend="Save the model with safetensors; pickled weights (.bin, .pth) are not read.",
    )


def _is_inside(name: str) -> bool:
    """Whether a file's name leads nowhere outside the folder it is looked for in."""
    path = PurePath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


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
