"""Each picture through the frozen vision encoder once, instead of once a step.

What the encoder makes of a picture never changes in a run, so it is computed before the first step
and kept, in memory or on disk. A step then neither decodes pictures nor runs the encoder.

Shapes: M tokens of a picture, F values of each (see `modeling.frozen_vision`).
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import PIL
import torch
import transformers
from safetensors import safe_open
from torch import Tensor

from vlreward.collation.packing import picture_tensors
from vlreward.collation.picture_preparation import PicturePreparation
from vlreward.durable import AtomicFolder, is_whole, locked, make_folder
from vlreward.errors import ConfigError
from vlreward.modeling import backbones
from vlreward.modeling.frozen_vision import encode_pictures, explain_inseparable
from vlreward.records import Picture, PreferencePair
from vlreward.scoring import RewardModel
from vlreward.training.config import PictureCacheConfig
from vlreward.training.processes import Processes
from vlreward.training.tensors import save_tensors, sha256_of

_PATCHES_A_PASS = 8192
_BYTES_A_SHARD = 256 * 2**20
_SHARD = "pictures.safetensors"
_GIB = 2**30


class PictureCache:
    """Encodes pictures once and keeps them as its configuration says."""

    def __init__(
        self,
        model: RewardModel,
        config: PictureCacheConfig,
        *,
        folder: Path,
        processes: Processes,
    ) -> None:
        """`folder` is the run's; raises ConfigError where the model cannot make use of it."""
        self._processes = processes
        self._model = model
        self._config = config
        self._folder = Path(config.folder) if config.folder else folder / "encoded-pictures"
        refuse_unless_possible(model)
        preparation = model.encoder.preparation
        assert isinstance(preparation, PicturePreparation), "only a Qwen's are encoded ahead"
        self._preparation = preparation

    def num_bytes(self, pictures: Iterable[Picture]) -> int:
        """How much room the pictures take once they are encoded."""
        visual = self._model.checkpoint.network.backbone.visual
        width = int(visual.merger.hidden_size)
        size = next(visual.parameters()).element_size()
        num_tokens = sum(self._preparation.num_tokens(picture) for picture in pictures)
        return num_tokens * width * int(size)

    def fill(
        self, pictures: Sequence[Picture], *, advance: Callable[[], None]
    ) -> Mapping[str, Tensor]:
        """Encodes what is not there yet; [M, F] by a picture's sha-256.

        Several processes share the work on disk; in memory, each has all pictures for itself.
        `advance` is called after each picture that is encoded, or found. Raises ConfigError before
        anything is done if there is no room; PictureError if a picture cannot be read.
        """
        shards = list(self._shards(pictures))
        if self._config.keep == "memory":
            self._refuse_too_large(pictures, room=free_memory())
            held: dict[str, Tensor] = {}
            for shard in shards:
                held |= self._encode(shard, advance=advance)
            return held
        make_folder(self._folder)
        key = self._key()
        paths = [self._folder / _shard_name(shard, key=key) for shard in shards]
        self._refuse_too_large(pictures, room=_room(self._folder, for_paths=paths))
        for number, (path, shard) in enumerate(zip(paths, shards, strict=True)):
            is_ours = number % self._processes.count == self._processes.rank
            if is_ours:
                self._encode_to(path, shard, advance=advance)
        self._processes.wait()
        return _Shards(path / _SHARD for path in paths)

    def _encode_to(
        self, path: Path, pictures: Sequence[Picture], *, advance: Callable[[], None]
    ) -> None:
        """Writes a shard, unless it is there; another run that wants the same one waits for it."""
        with locked(path.with_name(f"{path.name}.lock")):
            if is_whole(path):
                for _ in pictures:
                    advance()
                return
            shutil.rmtree(path, ignore_errors=True)
            encoded = self._encode(pictures, advance=advance)
            with AtomicFolder(path) as unfinished:
                save_tensors(encoded, unfinished / _SHARD)

    def _shards(self, pictures: Sequence[Picture]) -> Iterator[list[Picture]]:
        """The pictures in their order, by what goes into one file."""
        shard: list[Picture] = []
        num_bytes = 0
        for picture in pictures:
            shard.append(picture)
            num_bytes += self.num_bytes([picture])
            if num_bytes >= _BYTES_A_SHARD:
                yield shard
                shard, num_bytes = [], 0
        if shard:
            yield shard

    def _encode(
        self, pictures: Sequence[Picture], *, advance: Callable[[], None]
    ) -> dict[str, Tensor]:
        """Some pictures at a time through the encoder, always the same ones together."""
        backbone = self._model.checkpoint.network.backbone
        device = next(backbone.visual.parameters()).device
        encoded: dict[str, Tensor] = {}
        for some in self._passes(pictures):
            pixel_values, grids = picture_tensors(some, self._preparation)
            found = encode_pictures(backbone, pixel_values.to(device), grids.to(device))
            for picture, tensor in zip(some, found, strict=True):
                encoded[picture.sha256] = tensor.cpu().contiguous()
                advance()
        return encoded

    def _passes(self, pictures: Sequence[Picture]) -> Iterator[list[Picture]]:
        some: list[Picture] = []
        num_patches = 0
        for picture in pictures:
            grid = self._preparation.grid(picture)
            num_patches += grid.height * grid.width
            if some and num_patches > _PATCHES_A_PASS:
                yield some
                some, num_patches = [], grid.height * grid.width
            some.append(picture)
        if some:
            yield some

    def _key(self) -> str:
        """What the encoded pictures depend on beside the pictures."""
        backbone = self._model.checkpoint.network.backbone
        vision = (
            (name, parameter)
            for name, parameter in sorted(backbone.named_parameters())
            if backbones.part_of(name) == "vision"
        )
        settings = {
            "weights": sha256_of(vision),
            "encoder": backbone.config.vision_config.to_dict(),
            "preparation": asdict(self._preparation),
            "device": next(backbone.visual.parameters()).device.type,
            "versions": [transformers.__version__, PIL.__version__, torch.__version__],
        }
        text = json.dumps(settings, default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _refuse_too_large(self, pictures: Sequence[Picture], *, room: float) -> None:
        """Raises ConfigError if the pictures need more bytes than are allowed or free."""
        needed = self.num_bytes(pictures)
        allowed = min(self._config.max_gib * _GIB, room)
        if needed > allowed:
            raise ConfigError(
                "picture-cache-too-large",
                value=f"{needed / _GIB:.1f} GiB for {len(pictures)} pictures",
                place=f"pictures.keep: {self._config.keep}",
                expected=f"at most {allowed / _GIB:.1f} GiB (pictures.max_gib, or what is free)",
                mend="Raise pictures.max_gib, lower collation.max_pixels, or set pictures.keep to "
                "nowhere, which encodes at each step.",
            )


class _Shards(Mapping[str, Tensor]):
    """Tensors of several safetensors files, read from the disk when they are asked for."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._files = [safe_open(path, framework="pt") for path in paths]
        self._file_of = {name: file for file in self._files for name in file.keys()}  # noqa: SIM118

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file_of[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __len__(self) -> int:
        return len(self._file_of)


def pictures_of(pairs: Iterable[PreferencePair]) -> list[Picture]:
    """Every picture of the pairs once, in the order in which they are met."""
    found = (
        chain(pair.prompt.pictures, pair.chosen.pictures, pair.rejected.pictures) for pair in pairs
    )
    return list({picture.sha256: picture for picture in chain.from_iterable(found)}.values())


def refuse_unless_possible(model: RewardModel) -> None:
    """Raises ConfigError if a model's pictures cannot be encoded ahead."""
    backbone = model.checkpoint.network.backbone
    trained = [
        name
        for name, parameter in backbone.named_parameters()
        if parameter.requires_grad and backbones.part_of(name) == "vision"
    ]
    why_not = explain_inseparable(model.checkpoint.config)
    if trained:
        why_not = "the vision encoder is trained (model.freeze_vision is false)"
    elif not model.packed:
        why_not = "rows are padded (model.layout)"
    if why_not is not None:
        raise ConfigError(
            "picture-cache-impossible",
            value=why_not,
            place="pictures.keep",
            expected="a frozen encoder of Qwen2-VL or Qwen2.5-VL, and packed rows",
            mend="Set pictures.keep to nowhere.",
        )


def _shard_name(pictures: Sequence[Picture], *, key: str) -> str:
    names = "".join(picture.sha256 for picture in pictures)
    return hashlib.sha256(f"{key}{names}".encode()).hexdigest()[:32]


def _room(folder: Path, *, for_paths: Iterable[Path]) -> int:
    """Bytes free on the folder's disk, with those that these paths take already."""
    kept = (path / _SHARD for path in for_paths)
    held = sum(path.stat().st_size for path in kept if path.exists())
    return shutil.disk_usage(folder).free + held


def free_memory() -> float:
    """Bytes that the system says it can give; infinite where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return math.inf
    [found] = [line.split()[1] for line in lines if line.startswith("MemAvailable:")] or ["inf"]
    return float(found) * 1024
