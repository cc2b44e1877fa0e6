"""Checkpoints: whole or not there, verified when read, the newest valid one used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from vlreward.durable import write_manifest
from vlreward.errors import ConfigError
from vlreward.training.config import OptimizerConfig
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.state import (
    Position,
    list_checkpoints,
    load_newest,
    restore_random,
    save_state,
)


class Trainee:
    """A network of one layer with an optimizer that has made as many steps as asked."""

    def __init__(self, *, steps: int) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(3, 2)
        self.optimizer = MasterOptimizer(self.network, OptimizerConfig())
        for _ in range(steps):
            self.network(torch.ones(1, 3)).sum().backward()
            self.optimizer.step(1e-2)

    def save(self, folder: Path, position: Position, *, keep: int = 5) -> Path:
        return save_state(folder, position, model=self.network, optimizer=self.optimizer, keep=keep)


def at(step: int, *, stage: int = 0) -> Position:
    return Position(step=step, stage=stage, stage_step=step)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    trainee = Trainee(steps=3)
    position = Position(step=7, stage=1, stage_step=3)
    trainee.save(tmp_path, position)
    saved, skipped = load_newest(tmp_path, like=nn.Linear(3, 2))
    assert saved is not None and skipped == []
    assert saved.position == position
    for found, given in (
        (saved.model, trainee.network.state_dict()),
        (saved.optimizer, trainee.optimizer.state()),
    ):
        assert found.keys() == given.keys()
        assert all(torch.equal(found[name], given[name]) for name in given)


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    trainee = Trainee(steps=1)
    torch.rand(5)
    trainee.save(tmp_path, at(1))
    expected = torch.rand(5)
    saved, _ = load_newest(tmp_path, like=nn.Linear(3, 2))
    assert saved is not None
    restore_random(saved.random)
    assert torch.equal(torch.rand(5), expected)


def test_a_checkpoint_is_safetensors_and_json_alone(tmp_path: Path) -> None:
    path = Trainee(steps=1).save(tmp_path, at(1))
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


def test_without_a_checkpoint_there_is_no_state(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "nowhere", like=nn.Linear(3, 2)) == (None, [])


def test_as_many_checkpoints_stay_as_asked(tmp_path: Path) -> None:
    trainee = Trainee(steps=1)
    for step in (2, 4, 10, 100):
        trainee.save(tmp_path, at(step), keep=2)
    assert names(tmp_path) == ["step-00000010-00", "step-00000100-00"]


def test_the_next_stages_checkpoint_is_newer_than_the_last_of_its_stage(tmp_path: Path) -> None:
    trainee = Trainee(steps=1)
    trainee.save(tmp_path, Position(step=6, stage=9, stage_step=6))
    trainee.save(tmp_path, Position(step=6, stage=10, stage_step=0))
    saved, _ = load_newest(tmp_path, like=nn.Linear(3, 2))
    assert saved is not None and saved.position.stage == 10


def test_saving_twice_at_one_step_is_saving_once(tmp_path: Path) -> None:
    trainee = Trainee(steps=1)
    first = trainee.save(tmp_path, at(1))
    written = (first / "manifest.json").stat().st_mtime_ns
    assert trainee.save(tmp_path, at(1)) == first
    assert (first / "manifest.json").stat().st_mtime_ns == written


def cut_model(path: Path) -> None:
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def empty_optimizer(path: Path) -> None:
    (path / "optimizer.safetensors").write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    data = bytearray((path / "optimizer.safetensors").read_bytes())
    data[-3] ^= 1
    (path / "optimizer.safetensors").write_bytes(bytes(data))


def remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def cut_manifest(path: Path) -> None:
    file = path / "manifest.json"
    file.write_bytes(file.read_bytes()[:40])


def spoil_position(path: Path) -> None:
    (path / "position.json").write_text(json.dumps({"step": "many"}))
    (path / "manifest.json").unlink()
    write_manifest(path)


def empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


DAMAGES = {
    "a file cut short": (cut_model, "model.safetensors has"),
    "an empty file": (empty_optimizer, "optimizer.safetensors has 0 bytes"),
    "a flipped bit": (flip_a_bit, "optimizer.safetensors has changed"),
    "a missing file": (remove("random.safetensors"), "random.safetensors is missing"),
    "a missing manifest": (remove("manifest.json"), "no manifest.json"),
    "a torn manifest": (cut_manifest, "manifest.json is damaged"),
    "an unreadable position": (spoil_position, "checkpoint-damaged"),
    "an empty folder": (empty, "no manifest.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, damage: str
) -> None:
    trainee = Trainee(steps=1)
    for step in (2, 4, 6):
        trainee.save(tmp_path, at(step))
    spoil, said = DAMAGES[damage]
    for path in list_checkpoints(tmp_path)[1:]:
        spoil(path)
    saved, skipped = load_newest(tmp_path, like=nn.Linear(3, 2))
    assert saved is not None and saved.position.step == 2
    assert [message.split(":")[0] for message in skipped] == [
        "step-00000006-00",
        "step-00000004-00",
    ]
    assert all(said in message for message in skipped)


def test_an_unfinished_folder_is_no_checkpoint_and_goes_with_the_next_save(tmp_path: Path) -> None:
    trainee = Trainee(steps=1)
    finished = trainee.save(tmp_path, at(2))
    shutil.copytree(finished, tmp_path / "step-00000004-00.tmp")
    saved, skipped = load_newest(tmp_path, like=nn.Linear(3, 2))
    assert saved is not None and saved.position.step == 2 and skipped == []
    trainee.save(tmp_path, at(3))
    assert names(tmp_path) == ["step-00000002-00", "step-00000003-00"]


def test_a_damaged_checkpoint_is_written_anew_when_its_step_comes_again(tmp_path: Path) -> None:
    trainee = Trainee(steps=1)
    trainee.save(tmp_path, at(2))
    flip_a_bit(trainee.save(tmp_path, at(4)))
    trainee.save(tmp_path, at(4))
    saved, skipped = load_newest(tmp_path, like=nn.Linear(3, 2))
    assert saved is not None and saved.position.step == 4 and skipped == []


def test_a_damaged_later_checkpoint_never_costs_a_valid_one_its_place(tmp_path: Path) -> None:
    trainee = Trainee(steps=1)
    trainee.save(tmp_path, at(2))
    flip_a_bit(trainee.save(tmp_path, at(6)))
    trainee.save(tmp_path, at(3), keep=1)
    assert names(tmp_path) == ["step-00000003-00"]
    saved, skipped = load_newest(tmp_path, like=nn.Linear(3, 2))
    assert saved is not None and saved.position.step == 3 and skipped == []


@pytest.mark.parametrize("num_damages", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_whatever_is_damaged_the_checkpoint_before_it_is_used(
    tmp_path: Path, num_damages: int
) -> None:
    """Truncated anywhere, a bit flipped anywhere, a file missing or added, in any of its files."""
    trainee = Trainee(steps=2)
    trainee.save(tmp_path, at(2))
    whole = trainee.save(tmp_path, at(4))
    files = {path.name: path.read_bytes() for path in whole.iterdir()}
    random = Random(num_damages)
    for _ in range(num_damages):
        name = random.choice(sorted(files))
        data = bytearray(files[name])
        at_byte = random.randrange(len(data))
        kind = random.choice(["cut", "flip", "missing", "extra"])
        if kind == "flip":
            data[at_byte] ^= 1 << random.randrange(8)
        (whole / name).write_bytes(bytes(data[:at_byte] if kind == "cut" else data))
        if kind == "missing":
            (whole / name).unlink()
        if kind == "extra":
            (whole / "more").write_bytes(b"")
        saved, skipped = load_newest(tmp_path, like=nn.Linear(3, 2))
        if name == "manifest.json" and kind == "flip" and not skipped:
            assert saved is not None and saved.position.step == 4  # white space of its JSON
        else:
            assert saved is not None and saved.position.step == 2, (name, kind, at_byte)
            assert len(skipped) == 1 and skipped[0].startswith(whole.name)
        (whole / "more").unlink(missing_ok=True)
        (whole / name).write_bytes(files[name])


def test_a_disk_that_is_full_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainee = Trainee(steps=1)
    trainee.save(tmp_path, at(2))

    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("vlreward.training.tensors.save_file", full)
    with pytest.raises(ConfigError) as refused:
        trainee.save(tmp_path, at(4))
    assert refused.value.code == "output-not-writable"
    assert "No space left" in str(refused.value)
    assert names(tmp_path) == ["step-00000002-00"]
