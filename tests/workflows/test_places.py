"""Configurations of curation whose paths are absolute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vlreward.curation.config import CurateConfig
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.generation.config import EndpointConfig
from vlreward.generation.spec import parse_endpoint
from vlreward.recipes.curation import three_stages
from vlreward.sources.config import SourceConfig
from vlreward.workflows.places import anchored


def config(*, data: str, model: str, embedder: str, output: str) -> CurateConfig:
    made = three_stages(
        data=[SourceConfig(path=data, picture_folder="pictures"), "hub:owner/name"],
        benchmarks=["benchmark.jsonl"],
        generator=generator(),
        reasoner=generator(),
        surrogate_model=model,
        output=output,
    )
    return replace(made, embedder=embedder)


def generator() -> EndpointConfig:
    return parse_endpoint("openai:gpt-4o")


def test_paths_become_absolute_and_names_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    found = anchored(config(data="./a/../b.jsonl", model="model", embedder="own/name", output="r/"))
    assert found.output == f"{tmp_path}/r"
    assert found.embedder == "own/name"
    [file, hub] = found.data
    assert file.path == f"{tmp_path}/b.jsonl" and file.picture_folder == f"{tmp_path}/pictures"
    assert hub == SourceConfig(path="hub:owner/name")
    steps = {step.name: step for step in found.steps}
    assert steps["decontaminate"].benchmarks[0].path == f"{tmp_path}/benchmark.jsonl"
    assert steps["regenerate-weak"].surrogate.model == f"{tmp_path}/model"
    assert anchored(found) == found


def test_a_model_that_the_process_loads_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qwen").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, wanted in (("./qwen", str(tmp_path / "qwen")), ("owner/qwen", "owner/qwen")):
        step = DropAmbiguous(judge=parse_endpoint(f"local:{name}"))
        source = SourceConfig(path="a.jsonl")
        [found] = anchored(CurateConfig(data=(source,), steps=(step,), output="run")).steps
        assert found == replace(step, judge=parse_endpoint(f"local:{wanted}"))
