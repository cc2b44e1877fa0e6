"""What tells one model's weights from another's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.evaluation.scorers.making import reward_folder
from vlreward.durable import write_manifest
from vlreward.errors import CheckpointError
from vlreward.evaluation.scorers.config import CaptionConfig, ScorerConfig, WeightsConfig
from vlreward.evaluation.scorers.identity import endpoints_of, identities, weights_of
from vlreward.evaluation.scorers.spec import parse_scorer


def identity(folder: Path) -> str:
    found = identities(parse_scorer(str(folder)))
    assert list(found) == [str(folder)]
    return found[str(folder)]


def test_a_card_changes_nothing_and_weights_do(tmp_path: Path) -> None:
    folder = reward_folder(tmp_path)
    write_manifest(folder)
    before = identity(folder)
    (folder / "README.md").write_text("New words.")
    write_manifest(folder)
    assert identity(folder) == before
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert identity(copy) == before
    weights = next(folder.glob("value_head.safetensors"))
    weights.write_bytes(weights.read_bytes() + b" ")
    write_manifest(folder)
    assert identity(folder) != before


def test_without_a_manifest_sizes_and_times_tell(tmp_path: Path) -> None:
    folder = reward_folder(tmp_path)
    (folder / "manifest.json").unlink()
    before = identity(folder)
    assert before.endswith("sizes and times")
    os.utime(folder / "config.json", ns=(1, 1))
    assert identity(folder) != before


def test_of_the_hub_the_commit_tells(tmp_path: Path) -> None:
    snapshots = tmp_path / "models--o--m" / "snapshots"
    snapshots.mkdir(parents=True)
    folder = shutil.copytree(reward_folder(tmp_path), snapshots / "abc123")
    assert identity(folder) == "commit abc123"


def test_a_model_of_own_code_is_told_by_its_revision() -> None:
    assert identities(parse_scorer("remote:o/m@v1")) == {"o/m": "v1"}
    assert identities(parse_scorer("judge:openai:gpt-4o")) == {}


def test_every_part_is_found() -> None:
    word = "mean:a/b,implicit:c/d~e/f,process:g/h,judge:local:i/j,rate:openai:k,remote:l/m"
    config = parse_scorer(word)
    assert [one.path for one in weights_of(config)] == ["a/b", "c/d", "e/f", "g/h", "i/j"]
    assert [one.model for one in endpoints_of(config)] == ["k"]
    captions = CaptionConfig(local=WeightsConfig(path="n/o"))
    told = ScorerConfig(reward_model=WeightsConfig(path="a/b"), captions=captions)
    assert [one.path for one in weights_of(told)] == ["a/b", "n/o"]


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(CheckpointError):
        identities(parse_scorer("./nowhere"))
