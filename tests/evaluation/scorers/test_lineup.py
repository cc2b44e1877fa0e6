"""Every row of the paper's tables 3 and 4 is run by the adapter and the settings of `lineup.md`.

What stands for the weights is a random tiny checkpoint of the model's true class, a folder with
code of upstream's signatures, or the stand-in endpoint on a real socket.
"""

from __future__ import annotations

import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Thread

import pytest

from tests.evaluation.judges.making import prefers, seen_hashes, write_internvl
from tests.evaluation.scorers.making import reward_folder
from tests.generation.making import journal_at
from tests.support import tiny
from tests.support.endpoint import pairs, truth
from vlreward.curation.calls import Calls
from vlreward.errors import VlrewardError
from vlreward.evaluation.scorers.config import ScorerConfig
from vlreward.evaluation.scorers.lineup import lineup
from vlreward.evaluation.scorers.opening import Means, open_scorer
from vlreward.evaluation.scorers.protocols import PatientScorer, VotingJudge
from vlreward.evaluation.scorers.spec import parse_scorer
from vlreward.generation.scripted import Call, completion
from vlreward.world.endpoint.server import WorldEndpoint

TABLE_3 = {
    "claude-3.5-sonnet", "gemini-1.5-flash", "gpt-4o", "gemini-1.5-pro", "gemini-2.0-flash-exp",
    "ixc-2.5-reward-7b", "qwen2-vl-7b", "mammoth-vl-8b", "qwen2.5-vl-7b", "internvl3-8b",
    "qwen2-vl-72b", "molmo-72b", "qvq-72b", "qwen2.5-vl-72b", "internvl3-78b",
    "skywork-vl-reward-7b",
}  # fmt: skip
TABLE_4 = {
    "internlm2-7b-reward", "skywork-reward-llama-3.1-8b", "skywork-reward-llama-3.1-8b-v0.2",
    "qrm-llama3.1-8b-v2", "qwen2-vl-7b", "internvl3-8b", "qwen2.5-vl-7b", "ixc-2.5-reward-7b",
    "skywork-vl-reward-7b",
}  # fmt: skip

LOCAL = {"Qwen/Qwen2-VL-7B-Instruct": "qwen2_vl", "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2_5_vl"}
REWARD = {
    "Skywork/Skywork-VL-Reward-7B": ("qwen2_5_vl", "value-head"),
    "Skywork/Skywork-Reward-Llama-3.1-8B": ("llama", "sequence-classification"),
    "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2": ("llama", "sequence-classification"),
}
RUNS = [(row, table) for row in lineup() for table in row.tables]
IN_PROCESS = [run for run in RUNS if run[0].adapter in ("local judge", "reward model")]
BY_API = [run for run in RUNS if run[0].adapter in ("api judge", "served judge")]
OF_CODE = [row for row in lineup() if row.adapter == "remote code"]


def named(run):
    return run if isinstance(run, int) else run.word


def test_the_table_has_every_row_of_the_papers_tables_once():
    words = [row.word for row in lineup()]
    assert len(set(words)) == len(words)
    assert {row.word for row in lineup() if 3 in row.tables} == TABLE_3
    assert {row.word for row in lineup() if 4 in row.tables} == TABLE_4
    text = (files("vlreward.evaluation.scorers") / "lineup.md").read_text(encoding="utf-8")
    assert all(f"| {row.word} | {row.title} |" in text for row in lineup())


@pytest.mark.parametrize(("row", "table"), RUNS, ids=named)
def test_a_row_says_all_that_its_configuration_holds(row, table):
    config = row.config(table=table)
    assert config.name == row.title
    assert (config.remote_code is not None) == (row.own_code is not None)
    if config.remote_code is not None:
        assert config.remote_code.call == row.own_code
        assert not config.remote_code.runs_code_of_the_model
    found = config.reward_model or config.remote_code or config.judge.local
    if found is not None:
        assert (found.path, found.dtype) == (row.model, row.dtype)
        assert getattr(found, "max_pixels", None) == row.max_pixels
    else:
        endpoint = config.judge.endpoint
        assert endpoint.model == row.model.rpartition(":")[2]
        assert endpoint.max_output_tokens == 2048
        assert (endpoint.temperature, endpoint.top_p) == ((0.2, 0.2) if table == 3 else (0.0, None))


def small(config, folder):
    """The configuration with tiny weights in place of the row's."""
    if config.reward_model is not None:
        kind, layout = REWARD[config.reward_model.path]
        path = str(reward_folder(folder, kind, layout=layout))
        weights = replace(config.reward_model, path=path, dtype="float32")
        return replace(config, reward_model=weights)
    judge = config.judge
    kind = LOCAL.get(judge.local.path)
    made = write_internvl(folder) if kind is None else tiny.write_base_model(folder, kind)
    local = replace(judge.local, path=str(made), dtype="float32")
    return replace(config, judge=replace(judge, local=local, max_new_tokens=2))


@pytest.mark.parametrize(("row", "table"), IN_PROCESS, ids=named)
def test_rows_in_this_process_score_or_vote(row, table, tmp_path):
    config = small(row.config(table=table), tmp_path)
    asked = tiny.prompt("Why?") if table == 4 else tiny.prompt(tiny.picture(1), "Why?")
    answers = [tiny.response("So."), tiny.response("Thus, I think.")]
    with open_scorer(config) as opened:
        if isinstance(opened, PatientScorer):
            [scores] = opened.score_many([(asked, answers)])
            assert scores[0].value != scores[1].value
        else:
            [ballot] = opened.vote_each([(asked, *answers)])
            assert len(ballot.votes) == (10 if table == 3 else 1)


@pytest.mark.parametrize("row", OF_CODE, ids=named)
def test_rows_with_code_of_their_own_are_refused_until_they_are_allowed(row):
    """`test_remote` runs them by the same rows."""
    with pytest.raises(VlrewardError, match="model-wants-remote-code"), open_scorer(row.config()):
        pass


@pytest.fixture
def served():
    """A server on a real socket that says in the asked form that the answer with `good` is better.

    It keeps the bodies that came.
    """
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            call = Call(json.loads(self.rfile.read(length)), {}, 0, 0.0)
            bodies.append((self.path, call))
            form = "brackets" if "[[A]]" in call.text else "overall-judgment"
            reply = completion(prefers("good", form=form)(call), model=call.body["model"])
            content = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("row", "table"), BY_API, ids=named)
def test_rows_behind_an_api_are_asked_as_they_say_and_see_the_picture(row, table, served, tmp_path):
    address, bodies = served
    config = row.config(table=table)
    endpoint = config.judge.endpoint
    judge = replace(config.judge, endpoint=replace(endpoint, base_url=address), num_votes=3)
    keys = {} if endpoint.api_key_env is None else {endpoint.api_key_env: "a key of a test"}
    shown = tiny.picture(5)
    duel = (tiny.prompt(shown, "Why?"), tiny.response("good"), tiny.response("bad"))
    with (
        journal_at(tmp_path) as journal,
        open_scorer(
            replace(config, judge=judge),
            means=Means(calls=Calls(journal=journal, environment=keys)),
        ) as opened,
    ):
        [ballot] = opened.vote_each([duel])
    assert [vote.winner for vote in ballot.votes] == [0, 0, 0]
    assert len(bodies) == 3
    for path, call in bodies:
        assert path == "/v1/chat/completions"
        assert (call.body["model"], call.body["max_tokens"]) == (endpoint.model, 2048)
        assert (call.body["temperature"], call.body.get("top_p")) == (0.2, 0.2)
        assert seen_hashes(call) == [shown.sha256]


@pytest.mark.parametrize("ask", ["pair", "rating"])
def test_the_stand_in_judge_is_right_about_the_world(ask, tmp_path):
    chosen = [one.pair for one in pairs() if one.pair.prompt.pictures][:6]
    with WorldEndpoint(truth()) as endpoint, journal_at(tmp_path) as journal:
        word = f"{'judge' if ask == 'pair' else 'rate'}:world-judge@{endpoint.base_url}"
        judge = parse_scorer(word).judge
        told = replace(judge, endpoint=replace(judge.endpoint, structured=True))
        means = Means(calls=Calls(journal=journal))
        with open_scorer(ScorerConfig(judge=told), means=means) as opened:
            if isinstance(opened, VotingJudge):
                for ballot in opened.vote_each([(p.prompt, p.chosen, p.rejected) for p in chosen]):
                    assert [vote.winner for vote in ballot.votes] == [0, 0]
            else:
                rows = [(one.prompt, [one.chosen, one.rejected]) for one in chosen]
                for better, worse in opened.score_many(rows):
                    assert better.value > worse.value
