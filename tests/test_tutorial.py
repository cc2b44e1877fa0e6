"""docs/tutorial.md as a reader goes through it: every command and every snippet, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from vlreward.cli import run

_TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


def steps_of(text: str) -> list[str | list[str]]:
    """Snippets as texts, commands as words, in their order."""
    found: list[str | list[str]] = []
    for part in re.split(r"^```", text, flags=re.MULTILINE):
        if part.startswith("python\n"):
            found.append(part.removeprefix("python\n"))
            continue
        lines = part.replace("\\\n", " ").splitlines()
        found += [shlex.split(line) for line in lines if line.startswith("    ")]
    return found


def test_every_command_of_the_tutorial_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = steps_of(_TUTORIAL.read_text(encoding="utf-8"))
    commands = [step for step in steps if isinstance(step, list)]
    assert [words[1] for words in commands] == [
        "install", "train", "curate", "train", "eval", "eval", "score", "export",
    ]  # fmt: skip
    for step in steps:
        if isinstance(step, str):
            exec(compile(step, str(_TUTORIAL), "exec"), {})
        elif step[0] == "vlreward":
            assert run(step[1:]) == 0, step
    said = capsys.readouterr().out
    assert "it can learn." in said
    for name in ("runs/bars/samples.html", "runs/eval/report.html", "runs/compared/compare.html"):
        assert Path(name).stat().st_size > 10_000
    assert len(Path("scored.jsonl").read_text().splitlines()) == 12
    assert (tmp_path / "exported" / "model.safetensors").exists()
