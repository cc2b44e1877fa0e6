from dataclasses import replace

import pytest

from vlreward.configuration import load, to_yaml
from vlreward.errors import ConfigError
from vlreward.evaluation.scorers.config import (
    CaptionConfig,
    EnsembleConfig,
    ImplicitConfig,
    JudgeConfig,
    ProcessConfig,
    RemoteCodeConfig,
    ScorerConfig,
    WeightsConfig,
)
from vlreward.evaluation.scorers.lineup import find_row
from vlreward.evaluation.scorers.spec import describe_scorer, parse_scorer
from vlreward.generation.spec import parse_endpoint

HUB = WeightsConfig(path="owner/model", revision="abc")
WORDS = {
    "runs/demo/model": ScorerConfig(reward_model=WeightsConfig(path="runs/demo/model")),
    "owner/model@abc": ScorerConfig(reward_model=HUB),
    "./here@abc": ScorerConfig(reward_model=WeightsConfig(path="./here@abc")),
    "remote:owner/model@abc": ScorerConfig(
        remote_code=RemoteCodeConfig(path="owner/model", revision="abc")
    ),
    "judge:openai:gpt-4o": ScorerConfig(
        judge=JudgeConfig(endpoint=parse_endpoint("openai:gpt-4o"))
    ),
    "rate:qwen@http://127.0.0.1:8000/v1": ScorerConfig(
        judge=JudgeConfig(endpoint=parse_endpoint("qwen@http://127.0.0.1:8000/v1"), ask="rating")
    ),
    "judge:local:owner/model@abc": ScorerConfig(judge=JudgeConfig(local=HUB)),
    "rate:local:folder": ScorerConfig(
        judge=JudgeConfig(local=WeightsConfig(path="folder"), ask="rating")
    ),
    "implicit:owner/model@abc~base": ScorerConfig(
        implicit=ImplicitConfig(policy=HUB, reference=WeightsConfig(path="base"))
    ),
    "implicit:base": ScorerConfig(implicit=ImplicitConfig(policy=WeightsConfig(path="base"))),
    "process:owner/model@abc": ScorerConfig(process=ProcessConfig(model=HUB)),
    "worst:a,owner/model@abc": ScorerConfig(
        ensemble=EnsembleConfig(
            members=(
                ScorerConfig(reward_model=WeightsConfig(path="a")),
                ScorerConfig(reward_model=HUB),
            ),
            combine="worst",
        )
    ),
    "jury:judge:local:a,judge:local:b": ScorerConfig(
        ensemble=EnsembleConfig(
            members=tuple(
                ScorerConfig(judge=JudgeConfig(local=WeightsConfig(path=path))) for path in "ab"
            )
        )
    ),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_read_and_said_again(word):
    assert parse_scorer(word) == WORDS[word]
    assert describe_scorer(WORDS[word]) == word


@pytest.mark.parametrize("word", WORDS)
def test_what_a_word_says_goes_through_a_file(word, tmp_path):
    path = tmp_path / "scorer.yaml"
    path.write_text(to_yaml(WORDS[word]), encoding="utf-8")
    assert load(path, ScorerConfig) == parse_scorer(str(path)) == WORDS[word]


def test_a_file_says_what_no_word_can(tmp_path):
    path = tmp_path / "scorer.yaml"
    path.write_text(
        "name: mine\njudge:\n  local: {path: a}\n  num_votes: 5\n  order: random\n"
        "captions:\n  local: {path: b}\n  keep_pictures: false\n",
        encoding="utf-8",
    )
    config = parse_scorer(str(path))
    assert config == ScorerConfig(
        name="mine",
        judge=JudgeConfig(local=WeightsConfig(path="a"), num_votes=5, order="random"),
        captions=CaptionConfig(local=WeightsConfig(path="b"), keep_pictures=False),
    )
    assert describe_scorer(config) == "mine"


def test_a_row_of_the_tables_is_run_as_for_its_table():
    row = find_row("qwen2.5-vl-7b")
    on_pictures, on_text = (parse_scorer("qwen2.5-vl-7b", table=table) for table in (3, 4))
    assert parse_scorer("qwen2.5-vl-7b") == on_pictures == row.config(table=3)
    assert (on_pictures.judge.form, on_pictures.judge.num_votes) == ("overall-judgment", 10)
    assert (on_text.judge.form, on_text.judge.num_votes) == ("brackets", 1)
    assert describe_scorer(on_text) == "Qwen2.5-VL-7B"


@pytest.mark.parametrize("word", ["", "judge:", "remote:", "jugde:openai:gpt-4o", "mean:"])
def test_a_word_that_says_nothing_is_refused(word):
    with pytest.raises(ConfigError):
        parse_scorer(word)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{reward_model: {path: a}, process: {model: {path: a}}}",
        "judge: {}",
        "judge: {local: {path: a}, endpoint: {base_url: 'http://a/v1', model: b}}",
        "judge: {local: {path: a}, num_votes: 0}",
        "judge: {local: {path: a}, top_p: 0}",
        "judge: {local: {path: a}, ask: rating, form: brackets}",
        "ensemble: {members: [{reward_model: {path: a}}]}",
        "remote_code: {path: a, timeout_seconds: 0}",
        "reward_model: {path: a, hidden: 1}",
        "reward_model: {path: a}\ncaptions: {}",
    ],
)
def test_a_file_that_contradicts_itself_is_refused_with_its_place(text, tmp_path):
    path = tmp_path / "scorer.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        parse_scorer(str(path))
    assert str(path) in caught.value.place


def test_a_name_stands_before_the_word():
    config = replace(WORDS["owner/model@abc"], name="Ours")
    assert describe_scorer(config) == "Ours"


def test_a_folder_that_is_here_is_one_model_however_it_is_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    words = ("runs/mine", "runs/mine/", "./runs/mine", "runs/../runs/mine")
    assert {parse_scorer(word) for word in words} == {parse_scorer("runs/mine")}
    assert describe_scorer(parse_scorer("./runs/other")) == "./runs/other"
