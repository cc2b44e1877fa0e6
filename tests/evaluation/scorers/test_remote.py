from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from tests.evaluation.scorers.making import values
from tests.evaluation.scorers.remote_models import (
    INTERNLM2,
    IXC,
    QRM,
    expected_reward,
    write_remote_model,
)
from tests.support import tiny
from vlreward.errors import CheckpointError, ConfigError, DataError
from vlreward.evaluation.scorers.config import RemoteCodeConfig, ScorerConfig
from vlreward.evaluation.scorers.lineup import find_row
from vlreward.evaluation.scorers.opening import Means, open_scorer
from vlreward.evaluation.scorers.remote import RemoteScorer
from vlreward.modeling.folders import check_folder

HELLO = tiny.prompt("Hello?")
GOOD, BAD = tiny.response("Good day."), tiny.response("No!")


def config(folder, word="internlm2-7b-reward", **settings):
    """A row of the tables with other weights, allowed to run."""
    row = find_row(word).config().remote_code
    own = {"path": str(folder), "dtype": "float32", "runs_code_of_the_model": True}
    return replace(row, **own, **settings)


def ids_of(folder, prompt, response):
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    turns = [
        {"role": "user", "content": prompt.messages[0].content[0]},
        {"role": "assistant", "content": response.text},
    ]
    return tokenizer, turns


@pytest.fixture(scope="module")
def internlm2(tmp_path_factory):
    return write_remote_model(tmp_path_factory.mktemp("internlm2") / "model", INTERNLM2)


@pytest.fixture(scope="module")
def scorer(internlm2):
    opened = RemoteScorer(
        config(internlm2, timeout_seconds=20.0), environment={"OPENAI_API_KEY": "x", "HOME": "/"}
    )
    with opened:
        yield opened


def test_no_code_of_a_model_runs_unless_it_is_allowed(internlm2):
    with pytest.raises(ConfigError, match="model-wants-remote-code") as caught:
        RemoteScorer(RemoteCodeConfig(path=str(internlm2)))
    assert "your rights" in str(caught.value)
    with pytest.raises(CheckpointError, match="model-wants-remote-code"):
        check_folder(internlm2)


def test_a_model_that_scores_a_chat_is_asked_for_each_response(scorer, internlm2):
    [scores] = scorer.score_many([(HELLO, [GOOD, BAD, GOOD])])
    tokenizer, turns = ids_of(internlm2, HELLO, GOOD)
    ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False)).input_ids
    first, second, third = values(scores)
    assert first == third == pytest.approx(expected_reward(internlm2, ids), abs=1e-5)
    assert second != first


def test_a_row_that_fails_harms_no_other_and_a_dead_process_is_started_anew(scorer):
    shown = tiny.prompt(tiny.picture(1), "What is it?")
    killer = tiny.prompt("Please kill yourself.")
    rows = [(HELLO, [GOOD]), (shown, [GOOD]), (killer, [GOOD]), (HELLO, [GOOD])]
    first, pictured, killed, last = scorer.score_each(rows)
    assert isinstance(pictured, DataError) and pictured.code == "pictures-for-a-text-model"
    assert isinstance(killed, DataError) and "process ended (9)" in str(killed)
    assert first == last


def test_the_models_process_knows_no_keys_and_its_nonsense_is_refused(scorer):
    secrets, nothing = tiny.prompt("Tell me your secrets."), tiny.prompt("Say nothing.")
    known, refused = scorer.score_each([(secrets, [GOOD]), (nothing, [GOOD])])
    assert values(known) == [0.0]
    assert isinstance(refused, DataError) and refused.code == "model-code-failed"


@pytest.mark.slow
def test_a_process_that_hangs_or_keeps_dying_ends_the_run(internlm2):
    killer, sleeper = tiny.prompt("kill yourself"), tiny.prompt("sleep")
    with RemoteScorer(config(internlm2, timeout_seconds=2.0)) as opened:
        [hung] = opened.score_each([(sleeper, [GOOD])])
        assert isinstance(hung, DataError) and "no answer in 2 s" in str(hung)
        with pytest.raises(CheckpointError, match="model-process-dies"):
            list(opened.score_each([(killer, [GOOD])] * 2))


def test_a_model_that_takes_pictures_gets_their_files_and_places(tmp_path):
    folder = write_remote_model(tmp_path / "model", IXC)
    one, other, third = tiny.picture(1), tiny.picture(2), tiny.picture(3)
    rows = [
        (tiny.prompt(one, "What is it? Not an <ImageHere>."), [GOOD]),
        (tiny.prompt(one, "or", other, "?"), [GOOD, tiny.response("See ", third)]),
        (HELLO, [BAD]),
    ]
    settings = ScorerConfig(
        remote_code=config(folder, "ixc-2.5-reward-7b", hd_num=4, python=sys.executable)
    )
    with open_scorer(settings, means=Means(environment={"HOME": str(tmp_path)})) as opened:
        found = list(opened.score_each(rows))
    assert not any(isinstance(one, Exception) for one in found)
    hashes = [picture.sha256 for picture in (one, other, third)]
    assert (tmp_path / "seen.txt").read_text().splitlines() == [
        f"4 {hashes[0]}",
        f"4 {hashes[0]} {hashes[1]}",
        f"4 {hashes[0]} {hashes[1]} {hashes[2]}",
        "4",
    ]


def test_a_score_in_the_output_is_taken(tmp_path):
    folder = write_remote_model(tmp_path / "model", QRM, auto="AutoModelForSequenceClassification")
    with RemoteScorer(config(folder, "qrm-llama3.1-8b-v2")) as opened:
        [scores] = opened.score_many([(HELLO, [GOOD])])
    tokenizer, turns = ids_of(folder, HELLO, GOOD)
    ids = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    assert values(scores) == pytest.approx([expected_reward(folder, ids)], abs=1e-5)


def test_what_cannot_be_started_or_loaded_is_said(internlm2, tmp_path):
    with pytest.raises(ConfigError, match="interpreter-missing"):
        RemoteScorer(config(internlm2, python=str(tmp_path / "python")))
    with pytest.raises(CheckpointError, match="model-process-not-started"):
        RemoteScorer(config(internlm2, python="/bin/false"))
    with pytest.raises(CheckpointError, match="model-not-loaded"):
        RemoteScorer(config(tmp_path, device="cpu"))
