"""What the words of `vlreward eval` mean, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlreward import cli
from vlreward.command_lines import read_eval_arguments, read_evaluate_config
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.config import EvaluateConfig
from vlreward.sources.config import SourceConfig

OUTPUT = ["--output", "runs/eval"]


def config_of(*words: str) -> EvaluateConfig:
    return read_evaluate_config(read_eval_arguments([*words, *OUTPUT]))


def vl(*words: str) -> EvaluateConfig:
    return config_of("--benchmark", "vl-rewardbench", *words)


def test_flags_may_be_repeated_or_take_several_words() -> None:
    config = config_of(
        *("--benchmark", "vl-rewardbench=vl/#test", "rewardbench", "--limit", "10", "--partial"),
        *("--benchmark", "multimodal-rewardbench", "--prior-sets", "prior/"),
        *("--model", "a/b", "c/d@v1", "--model", "./e", "--seed", "3", "--shuffled-pictures"),
    )
    assert [one.label for one in config.benchmarks] == [
        "vl-rewardbench",
        "rewardbench",
        "multimodal-rewardbench",
    ]
    assert config.benchmarks[0].source == SourceConfig(path="vl/", split="test")
    assert [one.prior_sets is not None for one in config.benchmarks] == [False, True, False]
    assert all(one.limit == 10 and one.partial for one in config.benchmarks)
    assert [one.label for one in config.models] == ["a/b", "c/d@v1", "./e"]
    assert (config.seed, config.shuffled_pictures, config.output) == (3, True, "runs/eval")


def test_a_row_of_the_tables_runs_on_each_benchmark_as_its_authors_have_it() -> None:
    config = config_of(
        *("--benchmark", "vl-rewardbench", "rewardbench"),
        *("--model", "qwen2.5-vl-7b", "skywork-vl-reward-7b"),
    )
    judges = {one.benchmarks: one.scorer.judge for one in config.models if one.scorer.judge}
    on_vl, on_reward = judges[("vl-rewardbench",)], judges[("rewardbench",)]
    assert (on_vl.num_votes, on_vl.form) == (10, "overall-judgment")
    assert (on_reward.num_votes, on_reward.form) == (1, "brackets")
    [model] = [one for one in config.models if one.scorer.reward_model]
    assert model.benchmarks == () and model.label == "Skywork-VL Reward"


def test_votes_seed_and_a_protocols_order_go_into_judges() -> None:
    [model] = vl("--model", "jury:judge:openai:a,judge:openai:b", "--votes", "3").models
    assert model.scorer.ensemble is not None
    for member in model.scorer.ensemble.members:
        assert member.judge is not None and member.judge.num_votes == 3
    [model] = vl("--model", "gpt-4o", "--protocol", "vlmevalkit", "--seed", "9").models
    judge = model.scorer.judge
    assert judge is not None
    assert (judge.order, judge.num_votes, judge.seed) == ("length-parity", 1, 9)


def test_a_judge_of_a_file_stays_as_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "judge.json"
    judge = {"local": {"path": "folder"}, "num_votes": 5, "order": "given"}
    file.write_text(json.dumps({"judge": judge}))
    [model] = vl("--model", str(file), "--votes", "3", "--protocol", "vlmevalkit").models
    assert model.scorer.judge is not None
    assert (model.scorer.judge.num_votes, model.scorer.judge.order) == (5, "given")


def test_code_of_models_runs_only_where_the_flag_says_so() -> None:
    for words, may_run in (([], False), (["--run-model-code"], True)):
        [model] = vl("--model", "internlm2-7b-reward", *words).models
        assert model.scorer.remote_code is not None
        assert model.scorer.remote_code.runs_code_of_the_model is may_run


def test_own_files_are_told_by_their_rows_and_called_after_their_folders(tmp_path: Path) -> None:
    names = []
    for folder, row in (
        ("one", {"prompt": "?", "chosen": "a", "rejected": "b", "images": []}),
        ("two", {"prompt": "?", "responses": ["a", "b"], "correct": [True, False]}),
    ):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "rows.jsonl"
        path.write_text(json.dumps(row) + "\n")
        names.append(str(path))
    config = config_of("--data", *names, "--model", "miniature")
    found = [(one.name, one.label) for one in config.benchmarks]
    assert found == [("pairs", "one/rows"), ("candidates", "two/rows")]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--model", "m"], "flag-missing"),
        (["--benchmark", "rewardbench"], "flag-missing"),
        (["--benchmark", "vl-reward", "--model", "m"], "benchmark-unknown"),
        (["--benchmark", "rewardbench=", "--model", "m"], "benchmark-unknown"),
        (["--benchmark", "pairs", "--model", "m"], "benchmark-source-missing"),
        (["--benchmark", "rewardbench", "--model", "nothing:m"], "scorer-word"),
        (["--benchmark", "rewardbench", "--model", "m", "m"], "label-doubled"),
        (["--benchmark", "rewardbench", "rewardbench", "--model", "m"], "label-doubled"),
        (["--benchmark", "rewardbench", "--model", "m", "--votes", "2"], "flag-unused"),
        (["--benchmark", "vl-rewardbench", "--model", "m", "--prior-sets", "p"], "flag-unused"),
        (["--benchmark", "rewardbench", "--model", "m", "--limit", "0"], "config-value"),
        (
            ["--benchmark", "rewardbench", "--model", "gpt-4o", "--protocol", "official"],
            "protocol-unknown",
        ),
        (["--compare", "a", "b", "--model", "m"], "flag-unused"),
        (["--compare", "a", "b", "c"], "compare-many"),
        (["--from", "config.yaml", "--limit", "3"], "flag-unused"),
    ],
)
def test_words_that_cannot_be_are_refused(words: list[str], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(*words)
    assert caught.value.code == code


def test_data_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="file-missing"):
        config_of("--data", "nowhere.jsonl", "--model", "miniature")


def test_code_of_a_model_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "?", "chosen": "a", "rejected": "b", "images": []}\n')
    output = tmp_path / "run"
    arguments = ["--data", str(rows), "--model", "remote:./model", "--output", str(output)]
    with pytest.raises(ConfigError, match="model-wants-remote-code"):
        cli.run(["eval", *arguments])
    assert not output.exists()
