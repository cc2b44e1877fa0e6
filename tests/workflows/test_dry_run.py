"""`vlreward train --dry-run`: everything is checked, a few steps are made, nothing is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import drawn_row, text_row, tiny_config, write_rows
from vlreward import configuration
from vlreward.cli import run
from vlreward.errors import ConfigError, DataError
from vlreward.training.config import TrainConfig
from vlreward.training.rehearsal import rehearse


def command(config: TrainConfig, folder: Path, *words: str) -> list[str]:
    file = folder / "run.yaml"
    file.write_text(configuration.to_yaml(config))
    return ["train", "--from", str(file), "--output", config.output, *words]


def test_nothing_is_left_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run(command(config, tmp_path, "--dry-run")) == 0
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "run.yaml"])
    said = capsys.readouterr().out
    assert "15 pairs to train on (10 with pictures)" in said
    assert "5 to validate on. Rows refused: 0, truncated: 0." in said
    assert "Stage pictures: 10 pairs, 6 steps" in said and "Stage all: 15 pairs, 3 steps" in said


def test_refused_rows_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path, max_refused_share=0.5, validation=())
    write_rows(Path(config.data[0].path), *map(drawn_row, range(8)), text_row(1, chosen=None))
    stages = config.stages[:1]
    assert run(command(replace(config, stages=stages), tmp_path, "--dry-run")) == 0
    said = capsys.readouterr().out
    assert "Rows refused: 1" in said and "train.jsonl:9" in said


def test_a_model_that_can_learn_learns_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    assert run(command(config, tmp_path, "--dry-run", "--overfit-steps", "40")) == 0
    assert "it can learn." in capsys.readouterr().out


def test_a_model_that_cannot_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path)
    stages = tuple(replace(stage, learning_rate=1e-9) for stage in config.stages)
    words = command(replace(config, stages=stages), tmp_path, "--dry-run", "--overfit-steps", "3")
    assert run(words) == 1
    assert "it does not learn: raise the learning rate" in capsys.readouterr().out


def test_measuring_changes_no_weight(tmp_path: Path) -> None:
    """What is learnt begins where the run would: the first loss is that of untrained weights."""
    config = tiny_config(tmp_path)
    [first, *_] = rehearse(config, num_overfit_steps=1).losses
    again = replace(config, stages=config.stages[:1])
    assert rehearse(again, num_overfit_steps=1).losses == [first]


def test_the_longest_pairs_are_tried(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    long = text_row(9, chosen="It is ten, and I can say at length why that is so. " * 6)
    rows = [*map(drawn_row, range(6)), *map(text_row, range(8)), long]
    write_rows(Path(config.data[0].path), *rows)
    stage = replace(config.stages[1], batch_size=1)
    [found] = rehearse(replace(config, stages=(stage,), validation=())).stages
    assert found.num_tokens > 100


def test_what_is_wrong_with_the_data_is_said(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    write_rows(Path(config.data[0].path), *(text_row(n) for n in range(4)))
    with pytest.raises(DataError, match="stage-without-pairs"):
        run(command(config, tmp_path, "--dry-run"))


def test_learning_a_batch_is_part_of_a_rehearsal(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="overfit_steps"):
        run(command(tiny_config(tmp_path), tmp_path, "--overfit-steps", "3"))


def test_pictures_that_cannot_be_encoded_ahead_are_found(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    pictures = replace(config.pictures, keep="memory")
    config = replace(config, pictures=pictures, model=replace(config.model, layout="padded"))
    with pytest.raises(ConfigError, match="picture-cache-impossible"):
        rehearse(config)
