"""Pictures to the flat patches that Qwen's vision encoders read, on Pillow alone.

Equal to transformers' `Qwen2VLImageProcessorPil` (image_processing_pil_qwen2_vl.py), but for one
thing: resizing goes horizontally first always, as torchvision and Pillow 11 do it. Pillow 13
resizes some sizes vertically first, which moves pixel values by up to 0.43.

Shapes: P patches of a picture, D = channels * temporal_patch_size * patch_size².
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from vlreward.errors import CheckpointError, PictureError
from vlreward.pictures import open_rgb
from vlreward.records import Picture

_MAX_ASPECT_RATIO = 200
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Grid(NamedTuple):
    """A prepared picture's size in patches (`image_grid_thw`)."""

    time: int
    height: int
    width: int


class PreparesPictures(Protocol):
    """What rows need of a model's way with pictures; each method raises PictureError."""

    def grid(self, picture: Picture) -> Grid:
        """The picture's size when prepared."""
        ...

    def num_tokens(self, picture: Picture) -> int:
        """How many tokens the run that stands for it takes."""
        ...

    def prepare(self, picture: Picture) -> npt.NDArray[np.float32]:
        """Its pixels; those of several pictures are joined along the first axis."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PicturePreparation:
    """How a Qwen checkpoint wants its pictures: the fields of its preprocessor_config.json."""

    patch_size: PositiveInt = 14
    temporal_patch_size: PositiveInt = 2
    merge_size: PositiveInt = 2
    min_pixels: PositiveInt = 56 * 56
    max_pixels: PositiveInt = 28 * 28 * 1280
    mean: tuple[float, float, float] = _CLIP_MEAN
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = _CLIP_STD

    def grid(self, picture: Picture) -> Grid:
        """The size in patches, from the picture's header alone.

        Raises PictureError if one side is more than 200 times the other.
        """
        height, width = self._target_size(picture)
        return Grid(1, height // self.patch_size, width // self.patch_size)

    def num_tokens(self, picture: Picture) -> int:
        """How many tokens the picture takes in the row."""
        grid = self.grid(picture)
        return grid.height * grid.width // self.merge_size**2

    def prepare(self, picture: Picture) -> npt.NDArray[np.float32]:
        """The picture's patches [P, D] in float32, in the order of the merged tokens."""
        height, width = self._target_size(picture)
        image = open_rgb(picture)
        image = image.resize((width, image.height), Image.Resampling.BICUBIC)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) * np.float32(1 / 255)
        mean = np.asarray(self.mean, dtype=np.float32)[:, None, None]
        std = np.asarray(self.std, dtype=np.float32)[:, None, None]
        return self._patchify((pixels - mean) / std)

    def _target_size(self, picture: Picture) -> tuple[int, int]:
        """Height and width after resizing: multiples of patch times merge size, in the limits."""
        height, width = picture.height, picture.width
        if max(height, width) > _MAX_ASPECT_RATIO * min(height, width):
            raise PictureError(
                "picture-too-narrow",
                value=f"{width}x{height} pixels",
                place=str(picture.path or picture.sha256),
                expected=f"sides that differ at most {_MAX_ASPECT_RATIO}-fold",
                mend="Crop or pad the picture, or drop the row.",
            )
        factor = self.patch_size * self.merge_size
        target_height = round(height / factor) * factor
        target_width = round(width / factor) * factor
        if target_height * target_width > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            target_height = max(factor, math.floor(height / shrink / factor) * factor)
            target_width = max(factor, math.floor(width / shrink / factor) * factor)
        elif target_height * target_width < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            target_height = math.ceil(height * grow / factor) * factor
            target_width = math.ceil(width * grow / factor) * factor
        return target_height, target_width

    def _patchify(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        channels, height, width = pixels.shape
        merge, patch = self.merge_size, self.patch_size
        blocks = pixels.reshape(
            channels,
            height // (merge * patch),
            merge,
            patch,
            width // (merge * patch),
            merge,
            patch,
        )
        patches = blocks.transpose(1, 4, 2, 5, 0, 3, 6)[:, :, :, :, :, None]
        shape = (*patches.shape[:5], self.temporal_patch_size, patch, patch)
        num_patches = height * width // patch**2
        return np.ascontiguousarray(np.broadcast_to(patches, shape)).reshape(num_patches, -1)


def load_picture_preparation(
    folder: Path, *, min_pixels: int | None = None, max_pixels: int | None = None
) -> PicturePreparation:
    """The preparation that a model folder asks for.

    It stands in preprocessor_config.json or, as transformers 5 writes it, in the `image_processor`
    of processor_config.json. `min_pixels` and `max_pixels` override the folder's. Raises
    CheckpointError if neither file is there, a value cannot be used, or the limits cross.
    """
    found = read_preprocessor(folder)
    size: dict[str, Any] = found["size"] if isinstance(found.get("size"), dict) else {}
    wanted = {
        "min_pixels": first_known(min_pixels, found.get("min_pixels"), size.get("shortest_edge")),
        "max_pixels": first_known(max_pixels, found.get("max_pixels"), size.get("longest_edge")),
        "mean": found.get("image_mean"),
        "std": found.get("image_std"),
    } | {name: found.get(name) for name in ("patch_size", "temporal_patch_size", "merge_size")}
    given = {name: value for name, value in wanted.items() if value is not None}
    try:
        preparation = TypeAdapter(PicturePreparation).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(
            "preprocessor-invalid",
            value=first["input"],
            place=f"{folder}: picture settings: {'.'.join(map(str, first['loc']))}",
            expected=first["msg"],
            mend="Copy preprocessor_config.json from the base model.",
        ) from error
    if preparation.min_pixels > preparation.max_pixels:
        raise CheckpointError(
            "pixel-limits-crossed",
            value=f"min_pixels {preparation.min_pixels} > max_pixels {preparation.max_pixels}",
            place=str(folder),
            expected="min_pixels at most max_pixels",
            mend="Set both limits.",
        )
    return preparation


def first_known(*values: Any) -> Any:
    """The first value that is not None, or None."""
    return next((value for value in values if value is not None), None)


def read_preprocessor(folder: Path) -> dict[str, Any]:
    """The picture settings of a model folder as they stand; raises CheckpointError."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = folder / name
        if not path.exists():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                "preprocessor-unreadable",
                value=str(error),
                place=str(path),
                expected="a JSON object",
                mend="Copy it from the base model.",
            ) from error
        if isinstance(found, dict):
            found = found.get("image_processor", found)
        if isinstance(found, dict) and "patch_size" in found:
            return found
    raise CheckpointError(
        "preprocessor-missing",
        value="no picture settings",
        place=str(folder),
        expected="preprocessor_config.json or processor_config.json of a Qwen model",
        mend="Copy preprocessor_config.json from the base model.",
    )
