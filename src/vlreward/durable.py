"""Files and folders that are written whole or not at all, and manifests that prove it.

Everything goes to a temporary name in the same folder, is flushed to the disk and then renamed: a
reader, a kill or a power cut at any moment sees the old state or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from vlreward.errors import CheckpointError, ConfigError, VlrewardError

MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One file of a manifest; `size` is in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Every file of a folder but the manifest itself, by its path there with forward slashes."""

    files: dict[str, FileEntry]


def make_folder(path: Path) -> None:
    """Makes a folder with its parents where it is missing; raises ConfigError if that fails."""
    with _refusing_place(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def _refusing_place(path: Path) -> Iterator[None]:
    """Turns what the system says against a place into a ConfigError."""
    try:
        yield
    except OSError as error:
        raise not_writable(path, error) from error


@contextmanager
def _refusing_full_disk(path: Path) -> Iterator[None]:
    """Does so for want of room alone, where other work may fail for reasons of its own."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise not_writable(path, error) from error


def not_writable(path: Path, error: Exception) -> ConfigError:
    """The error of a place to which something could not be written."""
    return ConfigError(
        "output-not-writable",
        value=getattr(error, "strerror", None) or str(error),
        place=str(path),
        expected="a place that can be written, on a disk with room",
        mend="Check the path, its permissions and the free space.",
    )


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file to write piece by piece that takes its name only when it is whole and on the disk.

    It replaces an older one; missing parent folders are made. After an error nothing remains.
    Raises ConfigError if the place cannot be written.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with _refusing_place(path):
            file = temporary.open("xb")
        with _refusing_full_disk(path), file:
            yield file
            with _refusing_place(path):
                file.flush()
                os.fsync(file.fileno())
        with _refusing_place(path):
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_to_disk(path.parent)


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; replaces an older one and makes missing parent folders.

    Safe for several writers of one path: one of them wins.
    """
    with written_atomically(path) as file:
        file.write(data)


def write_text_atomically(path: Path, text: str) -> None:
    """`write_bytes_atomically` for a text, in UTF-8."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_json_atomically(path: Path, value: Any) -> None:
    """`write_bytes_atomically` for a value as indented ASCII JSON; NaN and infinity are refused."""
    write_text_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


class AtomicFolder:
    """`with AtomicFolder(path) as folder:` fills `folder`, which appears as `path` at the end.

    Until then it lies in the sibling `<name>.tmp`, beside a mark; one that an earlier kill left
    there is removed, so a path has one writer at a time. On success the folder holds a
    `manifest.json` with the size and the sha-256 of every file. On failure nothing remains; a kill
    at the very end may leave the mark's empty `<name>.tmp` beside the finished folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f"{path.name}.tmp")
        self._mark = self._temporary / _UNFINISHED
        self._content = self._temporary / path.name

    def __enter__(self) -> Path:
        """The temporary folder to fill; raises ConfigError if `path` has content already."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ConfigError(
                "folder-exists",
                value="something with content",
                place=str(self.path),
                expected="a path where nothing is yet",
                mend="Choose another path, or remove what is there.",
            )
        self._refuse_what_is_not_ours()
        self._discard()
        make_folder(self._temporary)
        self._mark.touch()
        self._content.mkdir()
        return self._content

    def _refuse_what_is_not_ours(self) -> None:
        """Raises ConfigError if something else than an earlier kill's leftover is in the way."""
        if not os.path.lexists(self._temporary):
            return
        is_ours = self._temporary.is_dir() and (
            self._mark.exists() or not any(self._temporary.iterdir())
        )
        if not is_ours:
            raise ConfigError(
                "folder-in-the-way",
                value=str(self._temporary),
                place=str(self.path),
                expected="nothing of this name, which unfinished folders have for a while",
                mend="Rename what is there, or choose another path.",
            )

    def _discard(self) -> None:
        """Removes the temporary folder, its mark last: a kill leaves it known as ours."""
        for path in (self._content, self._temporary):
            if path.exists():
                shutil.rmtree(path)

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Publishes the folder, or removes it after a failure."""
        try:
            if error is None:
                self._publish()
        finally:
            self._discard()

    def _publish(self) -> None:
        write_manifest(self._content)
        plain_mode = (self._content / MANIFEST).stat().st_mode
        for folder, _, names in os.walk(self._content):
            for name in names:
                Path(folder, name).chmod(plain_mode)  # some libraries write for the owner alone
                _flush_to_disk(Path(folder, name))
            _flush_to_disk(Path(folder))
        self._content.replace(self.path)
        _flush_to_disk(self.path.parent)


def write_manifest(folder: Path) -> Manifest:
    """Writes `manifest.json` with the size and sha-256 of every file under the folder."""
    manifest = Manifest(
        files={
            name: FileEntry(sha256=_sha256(path), size=path.stat().st_size)
            for name, path in sorted(_files(folder).items())
        }
    )
    values = TypeAdapter(Manifest).dump_python(manifest, mode="json")
    write_json_atomically(folder / MANIFEST, values)
    return manifest


def verify_manifest(folder: Path, *, error: type[VlrewardError] = CheckpointError) -> None:
    """Checks that the folder holds exactly the files of its manifest, each unchanged.

    Raises `error` naming the first file that is missing, extra, a link, of another size or of
    other content, or saying that the manifest itself is missing or damaged.
    """
    expected = _read_manifest(folder, error=error).files
    found = _files(folder)
    for name in sorted(expected.keys() | found.keys()):
        path = found.get(name)
        if path is None:
            raise _damaged(folder, f"{name} is missing", "every file of the manifest", error=error)
        if name not in expected:
            raise _damaged(folder, f"{name} is extra", "only files of the manifest", error=error)
        if path.is_symlink() or not path.is_file():
            raise _damaged(folder, f"{name} is no plain file", "no links", error=error)
        size = path.stat().st_size
        if size != expected[name].size:
            wanted = f"{expected[name].size} bytes"
            raise _damaged(folder, f"{name} has {size} bytes", wanted, error=error)
    for name, entry in expected.items():
        if _sha256(found[name]) != entry.sha256:
            wanted = f"the content with sha-256 {entry.sha256}"
            raise _damaged(folder, f"{name} has changed", wanted, error=error)


def is_whole(folder: Path) -> bool:
    """Whether the folder is there as its manifest says."""
    try:
        verify_manifest(folder)
    except CheckpointError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file, which is made where it is missing; waits for others to let go of it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_manifest(folder: Path, *, error: type[VlrewardError]) -> Manifest:
    path = folder / MANIFEST
    try:
        return TypeAdapter(Manifest).validate_json(path.read_bytes(), strict=True)
    except OSError as cause:
        found = "no manifest.json" if not path.exists() else str(cause)
        raise _damaged(folder, found, "a folder that was written whole", error=error) from cause
    except ValidationError as cause:
        found = "manifest.json is damaged"
        raise _damaged(folder, found, "the sizes and hashes of the files", error=error) from cause


def _damaged(
    folder: Path, value: str, expected: str, *, error: type[VlrewardError]
) -> VlrewardError:
    return error(
        "folder-damaged",
        value=value,
        place=str(folder),
        expected=expected,
        mend="Fetch or write the folder again, or use another copy.",
    )


def _files(folder: Path) -> dict[str, Path]:
    """All that is not a folder, links included and not followed, by path with forward slashes."""
    return {
        Path(parent, name).relative_to(folder).as_posix(): Path(parent, name)
        for parent, folders, names in os.walk(folder)
        for name in (*names, *(name for name in folders if Path(parent, name).is_symlink()))
        if Path(parent, name) != folder / MANIFEST
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_to_disk(path: Path) -> None:
    """Asks the system to bring a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
