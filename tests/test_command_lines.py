"""What the words of `vlreward curate` configure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from vlreward.command_lines import (
    read_curate_config,
    read_eval_arguments,
    read_evaluate_config,
    read_train_arguments,
)
from vlreward.curation.compare_reasoning import CompareReasoning
from vlreward.curation.regenerate_weak import RegenerateWeak
from vlreward.errors import ConfigError
from vlreward.evaluation.config import EvaluateConfig
from vlreward.runs import RunFolder
from vlreward.training.config import TrainConfig

THREE_STAGES = [
    *("three-stages", "--data", "pairs.jsonl", "--output", "run"),
    *("--generator", "openai:gpt-4o", "--reasoner", "r1@http://127.0.0.1:8000/v1"),
]


def test_each_model_of_three_stages_gets_its_part() -> None:
    words = ["--judge", "openai:gpt-4o-mini", "--describer", "local:qwen"]
    _, config = read_curate_config([*THREE_STAGES, *words, "--surrogate-model", "base"])
    steps = {step.name: step for step in config.steps}
    weak, comparison = steps["regenerate-weak"], steps["compare-reasoning"]
    assert isinstance(weak, RegenerateWeak) and isinstance(comparison, CompareReasoning)
    assert (weak.generator.model, weak.surrogate.model) == ("gpt-4o", "base")
    assert weak.checker == comparison.labeller and comparison.labeller is not None
    assert comparison.labeller.model == "gpt-4o-mini"
    named = [comparison.vlm, comparison.describer, comparison.reasoner]
    assert [one.model for one in named] == ["gpt-4o", "qwen", "r1"]


def test_the_generator_describes_where_nobody_else_does() -> None:
    _, config = read_curate_config(THREE_STAGES)
    comparison = config.steps[-1]
    assert isinstance(comparison, CompareReasoning) and comparison.describer == comparison.vlm


@pytest.mark.parametrize("missing", ["--generator", "--reasoner"])
def test_a_missing_model_is_named(missing: str) -> None:
    at = THREE_STAGES.index(missing)
    with pytest.raises(ConfigError, match=f"no {missing}"):
        read_curate_config(THREE_STAGES[:at] + THREE_STAGES[at + 2 :])


def test_models_that_the_first_stage_does_not_ask_are_refused() -> None:
    words = ["--data", "pairs.jsonl", "--output", "run", "--describer", "openai:gpt-4o"]
    with pytest.raises(ConfigError, match="--describer"):
        read_curate_config(words)


@pytest.mark.parametrize("read", [read_curate_config, read_train_arguments])
def test_a_flag_given_twice_is_refused_lest_the_first_be_lost(read: Callable[..., object]) -> None:
    words = ["--data", "one.jsonl", "--data=two.jsonl", "--output", "run"]
    with pytest.raises(ConfigError, match="--data 2 times"):
        read(["scratch", *words] if read is read_train_arguments else words)


def test_a_flag_of_eval_counts_once_but_for_what_may_be_many() -> None:
    words = ["--data", "a.jsonl", "--model", "miniature", "--output", "run"]
    given = read_eval_arguments([*words, "--data", "b.jsonl"])
    assert len([*chain(*given.data)]) == 2
    with pytest.raises(ConfigError, match="--max-dollars 2 times"):
        read_eval_arguments([*words, "--max-dollars", "1", "--max_dollars=9"])


def read_eval(words: list[str]) -> EvaluateConfig:
    return read_evaluate_config(read_eval_arguments(words))


def read_train(words: list[str]) -> TrainConfig:
    return read_train_arguments(words).run


@pytest.mark.parametrize("read", [read_train, read_eval])
def test_the_file_of_a_copied_run_asks_which_folder_is_meant(
    read: Callable[[list[str]], TrainConfig | EvaluateConfig], tmp_path: Path
) -> None:
    begun, data = str(tmp_path / "begun"), tmp_path / "pairs.jsonl"
    data.touch()
    words = {
        read_train: ["scratch", "--data", str(data), "--output", begun],
        read_eval: ["--data", str(data), "--model", "miniature", "--output", begun],
    }
    config = read(words[read])
    RunFolder.create(tmp_path / "begun", config=config, command=["vlreward"], clock=lambda: 0.0)
    assert read(["--from", f"{begun}/config.yaml"]) == config
    copied = str(shutil.copytree(begun, tmp_path / "copied") / "config.yaml")
    with pytest.raises(ConfigError, match=rf"output: {begun};.*{tmp_path / 'copied'},") as caught:
        read(["--from", copied])
    assert caught.value.code == "run-moved"
    for output in (begun, str(tmp_path / "new")):
        assert read(["--from", copied, "--output", output]).output == output


def test_a_recipe_beside_a_file_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="three-stages; expected no such recipe") as caught:
        read_curate_config(["three-stages", "--from", str(tmp_path / "config.yaml")])
    assert "change the file" in caught.value.mend


@pytest.mark.parametrize("flag", ["--dry-run", "--max-dollars=1", "--cluster=local"])
def test_a_flag_of_a_run_is_refused_where_only_a_file_is_written(flag: str) -> None:
    words = ["--data", "pairs.jsonl", "--output", "run", "--write-config", "new.yaml"]
    with pytest.raises(ConfigError, match=flag.split("=")[0]) as caught:
        read_curate_config([*words, flag])
    assert caught.value.code == "flag-unused"
    read_curate_config(words)


def test_an_empty_output_is_named() -> None:
    with pytest.raises(ConfigError, match="output: ''; expected a folder"):
        read_curate_config(["--data", "pairs.jsonl", "--output", ""])
