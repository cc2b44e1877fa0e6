"""Which pictures are copies of each other, in another format, quality or size."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vlreward.curation.frames import Frame, daft
from vlreward.curation.neighbours import Cells, Near, near_pairs, rounded
from vlreward.embedding.pictures import (
    ROUGH_SHAPE,
    SIGNATURE_LENGTH,
    difference,
    fine_difference,
    hue_difference,
    rough_details,
    same_shape,
    signature,
)
from vlreward.pictures import decode, read_file


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureTolerance:
    """How far a picture's copies may be from it."""

    min_signature_similarity: float = 0.98
    """Least cosine of two signatures to look at the pictures at all."""
    max_rough_difference: float = 0.4
    """Largest difference in a block of the details at 32 x 32."""
    max_fine_difference: float = 0.055
    """Largest difference in a block of the details at 256 x 256, for pictures of one size: a copy
    in another format or quality."""
    max_fine_difference_resized: float = 0.12
    """The same for pictures of two sizes: resizing moves fine lines between places."""
    max_hue_difference: float = 20.0
    """Largest difference of hue, of 255, in a place of 16 x 16."""


def pictures_of(rows: Frame) -> dict[str, Path]:
    """A file of each picture, by sha-256."""
    col = daft().col
    shown = rows.select("pictures").explode("pictures").where(col("pictures").not_null())
    found = shown.select(col("pictures").unnest()).groupby("sha256").agg(col("path").min())
    columns = found.to_pydict()
    return {name: Path(path) for name, path in zip(columns["sha256"], columns["path"], strict=True)}


def representatives(
    pictures: Mapping[str, Path],
    *,
    tolerance: PictureTolerance,
    cells: Cells,
    workspace: Path,
    first: Container[str] = (),
) -> dict[str, str]:
    """For each picture that is a copy, by sha-256, the one that stands for it.

    That is the first by hash, those in `first` before all others; a picture that stands for itself
    is left out.
    """
    names = sorted(pictures, key=lambda name: (name not in first, name))
    stands_for: dict[str, str] = {}
    if len(names) < 2:
        return stands_for
    signatures, rough = _read(names, pictures, workspace=workspace)
    near = near_pairs(
        np.zeros(len(names), dtype=np.int64),
        vectors=signatures,
        order=np.array([int(name[:15], 16) for name in names], dtype=np.int64),
        min_similarity=tolerance.min_signature_similarity,
        cells=cells,
    )
    near = [
        one
        for one in near
        if difference(rough[one.first], rough[one.second]) <= tolerance.max_rough_difference
    ]
    for at, other in _copies(near, [pictures[name] for name in names], tolerance=tolerance):
        if names[at] not in stands_for:
            stands_for.setdefault(names[other], names[at])
    return stands_for


def _read(
    names: Sequence[str], pictures: Mapping[str, Path], *, workspace: Path
) -> tuple[Path, npt.NDArray[np.int8]]:
    """The file of the pictures' rounded signatures, and their rough details on the disk."""
    frames = daft()
    binary = frames.DataType.binary()

    @frames.func(return_dtype=frames.DataType.struct({"signature": binary, "rough": binary}))
    def read(path: str) -> dict[str, bytes]:
        image = _open(path)
        return {
            "signature": rounded(signature(image)).tobytes(),
            "rough": rough_details(image).tobytes(),
        }

    paths = [str(pictures[name]) for name in names]
    frame = frames.from_pydict({"at": list(range(len(names))), "path": paths})
    columns = ("at", read(frames.col("path")).unnest())
    found = frame.select(*columns).sort("at").to_arrow()
    places = (workspace / "picture_signatures.npy", workspace / "picture_details.npy")
    data = found["signature"].to_pylist()
    np.save(places[0], np.frombuffer(b"".join(data), dtype=np.int16).reshape(-1, SIGNATURE_LENGTH))
    details = np.frombuffer(b"".join(found["rough"].to_pylist()), dtype=np.int8)
    np.save(places[1], details.reshape(len(names), *ROUGH_SHAPE))
    return places[0], np.load(places[1], mmap_mode="r")


def _open(path: str) -> Image.Image:
    """The picture, which was there when its row was read; raises PictureError if it is not."""
    return decode(read_file(Path(path)), place=path)


def _copies(
    near: Sequence[Near], paths: Sequence[Path], *, tolerance: PictureTolerance
) -> list[tuple[int, int]]:
    """Which of the near pairs are copies, each pair looked at in detail."""
    if not near:
        return []
    frames = daft()

    @frames.func
    def is_copy(one: str, other: str) -> bool:
        images = [_open(path) for path in (one, other)]
        sizes = [image.size for image in images]
        if not same_shape(*sizes) or hue_difference(*images) > tolerance.max_hue_difference:
            return False
        resized = sizes[0] != sizes[1]
        limit = tolerance.max_fine_difference_resized if resized else tolerance.max_fine_difference
        return fine_difference(*images) <= limit

    columns = {
        "first": [one.first for one in near],
        "second": [one.second for one in near],
        "one": [str(paths[one.first]) for one in near],
        "other": [str(paths[one.second]) for one in near],
    }
    col = frames.col
    found = frames.from_pydict(columns).where(is_copy(col("one"), col("other")))
    kept = found.select("first", "second").sort(["first", "second"]).to_pydict()
    return list(zip(kept["first"], kept["second"], strict=True))
