"""From the many ways in which rows hold a picture to an admitted `Picture`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from pathlib import Path

from vlreward.errors import DataError, PictureError
from vlreward.pictures import TRAINING_LIMITS, PictureStore, admit
from vlreward.records import Picture
from vlreward.sources import fields
from vlreward.sources.fields import Row

PictureSource = str | bytes
"""A path or `data:` URI, or a picture file's bytes."""

_CACHE_SIZE = 256


def unwrap(value: object, *, field: str) -> PictureSource:
    """The picture that a value stands for.

    Accepted are a path, a `data:` URI, a file's bytes, `datasets`' undecoded {bytes, path} and the
    chat protocol's {url}. Nothing is read yet.
    """
    if isinstance(value, str):
        return fields.text(value, field=field)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if fields.is_row(value):
        for key in ("bytes", "path", "url"):
            inner = value.get(key)
            if isinstance(inner, (bytes, bytearray, memoryview)) and key == "bytes":
                return bytes(inner)
            if isinstance(inner, str) and key != "bytes":
                return fields.text(inner, field=field)
    raise fields.wrong_type(
        value, field=field, expected="a path, a data: URI, bytes, {bytes, path} or {url}"
    )


def images_of(row: Row) -> tuple[PictureSource, ...]:
    """The row's column `images` (a list or a single one) or `image`, in order; () without."""
    many, single = row.get("images"), row.get("image")
    if many is not None and many != [] and single is not None:
        raise DataError(
            "images-twice",
            value="both 'images' and 'image'",
            place="images",
            expected="one of the two fields",
            mend="Keep 'images' with all pictures in reading order.",
        )
    name, value = ("images", many) if many is not None and many != [] else ("image", single)
    return sources_in(value, field=name)


def sources_in(value: object, *, field: str) -> tuple[PictureSource, ...]:
    """A column of pictures: null for none, a single one, or a list."""
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        return (unwrap(value, field=field),)
    return tuple(unwrap(item, field=f"{field}[{index}]") for index, item in enumerate(value))


class PictureReader:
    """Admits pictures; those met lately are not decoded again.

    Pictures by path stay where they are. Embedded ones go to the store, or without one stay in
    memory.
    """

    def __init__(self, store: PictureStore | None) -> None:
        self._store = store
        self._limits = TRAINING_LIMITS if store is None else store.limits
        self._recent: OrderedDict[str, Picture] = OrderedDict()

    def read(self, source: PictureSource, *, folder: Path | None, field: str) -> Picture:
        """The admitted picture; relative paths start at `folder`.

        Raises DataError, with the field as its place, if it cannot be used.
        """
        place = source if isinstance(source, bytes) else _locate(source, folder=folder, field=field)
        key = str(place) if isinstance(place, Path) else hashlib.sha256(place).hexdigest()
        picture = self._recent.get(key)
        if picture is None:
            picture = self._admit(place, field=field)
            self._recent[key] = picture
            if len(self._recent) > _CACHE_SIZE:
                self._recent.popitem(last=False)
        else:
            self._recent.move_to_end(key)
        return picture

    def _admit(self, place: Path | bytes, *, field: str) -> Picture:
        try:
            if self._store is not None and isinstance(place, bytes):
                return self._store.add(place)
            return admit(place, limits=self._limits)
        except PictureError as error:
            raise error.at(field) from error


def _locate(source: str, *, folder: Path | None, field: str) -> Path | bytes:
    if source.startswith("data:"):
        return _decode_data_uri(source, field=field)
    if "://" in source:
        raise PictureError(
            "picture-remote",
            value=fields.describe(source),
            place=field,
            expected="a picture in a file or in the row itself",
            mend="Download the pictures first and write their paths into the rows.",
        )
    if folder is None and not Path(source).is_absolute():
        raise PictureError(
            "picture-no-folder",
            value=fields.describe(source),
            place=field,
            expected="a picture in the row itself, as the data set is not in a folder",
            mend="Download the pictures and set picture_folder to where they are.",
        )
    path = ((folder or Path()) / source).absolute()
    try:
        if path.is_file():
            return path
    except OSError:  # a name too long for the system, or a folder that may not be looked into
        pass
    raise PictureError(
        "picture-missing",
        value=fields.describe(str(path)),
        place=field,
        expected="a readable picture file",
        mend="Relative paths start at the data file's folder, or at picture_folder; a picture in "
        "base64 begins data:image/png;base64,",
    )


def _decode_data_uri(uri: str, *, field: str) -> bytes:
    head, comma, payload = uri.partition(",")
    try:
        if not comma or not head.endswith(";base64"):
            raise ValueError("no ';base64,' in it")
        return base64.b64decode("".join(payload.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureError(
            "picture-data-uri",
            value=f"{fields.describe(uri)}: {error}",
            place=field,
            expected="data:image/…;base64, and the file in base64",
            mend="Encode the picture's file again.",
        ) from error
