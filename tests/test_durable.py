"""What is written appears whole or not at all, and a manifest notices every change."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from tests.support.kill_nine import AtOperation, dies
from vlreward.durable import (
    MANIFEST,
    AtomicFolder,
    verify_manifest,
    write_bytes_atomically,
    write_json_atomically,
    write_manifest,
    write_text_atomically,
    written_atomically,
)
from vlreward.errors import CheckpointError, ConfigError, DataError


def names_under(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def make_folder(path: Path) -> Path:
    with AtomicFolder(path) as folder:
        (folder / "weights.bin").write_bytes(b"0123456789")
        (folder / "inner").mkdir()
        (folder / "inner" / "state.json").write_text("{}")
    return path


def test_a_file_replaces_an_older_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_text_atomically(path, "old")
    write_text_atomically(path, "né")
    assert path.read_bytes() == "né".encode()
    assert names_under(tmp_path) == ["new", "new/file.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json_atomically(path, [1])
    with pytest.raises(TypeError):
        write_bytes_atomically(path, "a text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Out of range float"):
        write_json_atomically(path, float("nan"))
    assert json.loads(path.read_text()) == [1]
    assert names_under(tmp_path) == ["file.json"]


@pytest.mark.parametrize("place", ["new.bin", "folder/new.bin"])
def test_a_disk_without_room_is_named_by_the_place(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ConfigError) as caught, written_atomically(path) as file:
            for _ in range(100):
                file.write(bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.code, caught.value.place) == ("output-not-writable", str(path))
    assert [*path.parent.iterdir()] == []


def test_other_failures_of_who_fills_a_file_stay_theirs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), written_atomically(tmp_path / "new.bin") as file:
        file.write((tmp_path / "nowhere").read_bytes())


def test_a_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_bytes_atomically(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_several_writers_of_one_file_leave_one_of_their_texts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    texts = [str(number) * 10_000 for number in range(8)]
    threads = [threading.Thread(target=write_text_atomically, args=(path, t)) for t in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert names_under(tmp_path) == ["file"]


def test_a_folder_appears_at_the_end_with_a_manifest(tmp_path: Path) -> None:
    path = tmp_path / "step-1"
    with AtomicFolder(path) as folder:
        (folder / "a.txt").write_text("abc")
        assert not path.exists()
        assert folder.parent == tmp_path / "step-1.tmp"
    assert names_under(tmp_path) == ["step-1", "step-1/a.txt", f"step-1/{MANIFEST}"]
    assert json.loads((path / MANIFEST).read_text()) == {
        "files": {
            "a.txt": {
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "size": 3,
            }
        }
    }
    verify_manifest(path)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_folder_whose_writing_failed_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), AtomicFolder(tmp_path / "model") as folder:
        (folder / "half").write_text("x")
        raise error
    assert names_under(tmp_path) == []


def test_what_a_kill_left_is_removed_by_the_next_attempt(tmp_path: Path) -> None:
    (tmp_path / "model.tmp").mkdir()
    (tmp_path / "model.tmp" / ".unfinished").touch()
    (tmp_path / "model.tmp" / "stale").write_text("x")
    assert "model/stale" not in names_under(make_folder(tmp_path / "model").parent)


def test_a_strangers_folder_of_that_name_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "model.tmp").mkdir()
    (tmp_path / "model.tmp" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="folder-in-the-way"):
        make_folder(tmp_path / "model")
    assert (tmp_path / "model.tmp" / "thesis.txt").read_text() == "x"


def test_a_killed_writer_leaves_no_folder_of_the_final_name(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from vlreward.durable import *\n"
        "with AtomicFolder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "model")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "model").exists()
    make_folder(tmp_path / "model")


def leave_leftover(path: Path) -> None:
    """What a kill leaves: the folder that was being filled, and its mark."""
    content = path.with_suffix(".tmp") / path.name
    (content / "inner").mkdir(parents=True)
    (content / "stale").write_text("x")
    (content.parent / ".unfinished").touch()


def test_a_writer_killed_at_any_file_operation_is_followed_by_one_that_succeeds(
    tmp_path: Path,
) -> None:
    """Every other writer finds what an earlier kill left."""
    for number in count(1):
        path = tmp_path / str(number) / "model"
        path.parent.mkdir()
        if number % 2:
            leave_leftover(path)
        if not dies(make_folder, [path], death=AtOperation(pattern=f"/{number}/", number=number)):
            break
        if path.exists():
            assert set(names_under(path.with_suffix(".tmp"))) <= {".unfinished"}
        else:
            make_folder(path)
            assert not path.with_suffix(".tmp").exists()
        verify_manifest(path)
    assert number > 20


def test_a_folder_with_content_is_not_replaced(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "model")
    with pytest.raises(ConfigError, match="folder-exists"), AtomicFolder(path):
        pass
    verify_manifest(path)


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    verify_manifest(make_folder(tmp_path / "model"))


def truncate(path: Path) -> None:
    os.truncate(path / "weights.bin", 9)


def flip_a_bit(path: Path) -> None:
    (path / "weights.bin").write_bytes(b"0123456788")


def remove_one(path: Path) -> None:
    (path / "inner" / "state.json").unlink()


def add_one(path: Path) -> None:
    (path / "inner" / "more").write_text("")


def link_out(path: Path) -> None:
    (path / "weights.bin").unlink()
    (path / "weights.bin").symlink_to("/etc/hostname")


def link_a_folder(path: Path) -> None:
    (path / "elsewhere").symlink_to("/etc")


def remove_the_manifest(path: Path) -> None:
    (path / MANIFEST).unlink()


def tear_the_manifest(path: Path) -> None:
    os.truncate(path / MANIFEST, 40)


def deepen_the_manifest(path: Path) -> None:
    (path / MANIFEST).write_text("[" * 100_000)


def lead_the_manifest_out(path: Path) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"]["../weights.bin"] = manifest["files"].pop("weights.bin")
    (path / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (truncate, "weights.bin has 9 bytes"),
        (flip_a_bit, "weights.bin has changed"),
        (remove_one, "inner/state.json is missing"),
        (add_one, "inner/more is extra"),
        (link_out, "weights.bin is no plain file"),
        (link_a_folder, "elsewhere is extra"),
        (remove_the_manifest, "no manifest.json"),
        (tear_the_manifest, "manifest.json is damaged"),
        (deepen_the_manifest, "manifest.json is damaged"),
        (lead_the_manifest_out, "../weights.bin is missing"),
    ],
)
def test_damage_is_found_and_named(tmp_path: Path, damage: object, found: str) -> None:
    path = make_folder(tmp_path / "model")
    assert callable(damage)
    damage(path)
    with pytest.raises(CheckpointError) as caught:
        verify_manifest(path)
    assert caught.value.value == found
    assert caught.value.place == str(path)


def test_the_kind_of_error_is_the_callers_choice(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        verify_manifest(tmp_path, error=DataError)


def test_a_manifest_written_again_is_the_same(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "model")
    before = (path / MANIFEST).read_bytes()
    write_manifest(path)
    assert (path / MANIFEST).read_bytes() == before
