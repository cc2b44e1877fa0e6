"""`vlreward doctor`: what is said, and what it is said of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import tiny
from vlreward.cli import run
from vlreward.errors import CheckpointError, ConfigError


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["doctor", *words]) == 0
    return capsys.readouterr().out


def test_the_shipped_model_fits(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "miniature", "--num-pairs", "6400", "--epochs", "3")
    assert "6.70 M parameters" in text and "4.70 M of them trained" in text
    assert "3 epochs of 6,400 pairs: 300 steps" in text
    assert text.endswith("It fits.\n")


def test_what_does_not_fit_is_told_with_ways_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "miniature", "--device-gib", "0.5")
    assert "It does not fit: try more devices, --gradient-checkpointing, --lora-rank 64" in text
    text = said(capsys, "miniature", "--device-gib", "0.001", "--gradient-checkpointing")
    assert "try more devices, --lora-rank 64 or a smaller --token-budget" in text


def test_json_has_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "miniature", "--num-devices", "4", "--json"))
    assert found["memory_total_gib"] == pytest.approx(sum(found["memory_gib"].values()))
    assert found["fits"] and found["steps"] == 5938
    halved = json.loads(said(capsys, "miniature", "--num-devices", "8", "--json"))
    assert halved["hours"] == pytest.approx(found["hours"] / 2)


def test_a_configuration_without_weights_is_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny.write_base_model(tmp_path / "base", "qwen2_5_vl")
    for file in base.iterdir():
        if file.name != "config.json":
            file.unlink()
    assert "parameters" in said(capsys, str(base))


def test_a_model_that_is_nowhere_is_refused() -> None:
    with pytest.raises(CheckpointError, match="model-folder-missing"):
        run(["doctor", "./nowhere"])


@pytest.mark.parametrize("words", [["--num-pairs", "0"], ["--tflops", "0"], ["--lora-rank", "-1"]])
def test_numbers_that_cannot_be_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError):
        run(["doctor", "miniature", *words])
