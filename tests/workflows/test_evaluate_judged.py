"""`vlreward eval` with judges over HTTP: money, outages, replies that cannot be read, resuming."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.evaluating import (
    COMMAND,
    config_of,
    free_port,
    judge_at,
    only_result,
    results_of,
    truth,
    write_lines,
    write_pairs,
)
from vlreward import cli, command_lines, configuration
from vlreward.errors import ConfigError, EndpointError
from vlreward.evaluation.config import EvaluateConfig
from vlreward.evaluation.scorers.config import CaptionConfig, EnsembleConfig, ScorerConfig
from vlreward.evaluation.scorers.spec import parse_scorer
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import load_preferences
from vlreward.sources.write import write_parquet
from vlreward.workflows.evaluate import evaluate, plan_evaluation
from vlreward.world.endpoint.config import FaultRates, RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint

PRICED = RoleConfig(input_price=2.5, output_price=10.0)
NUM_ROWS = 12


@pytest.fixture
def endpoint() -> Iterator[WorldEndpoint]:
    with WorldEndpoint(truth(), WorldEndpointConfig(judge=PRICED)) as served:
        yield served


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "world.parquet", number=NUM_ROWS)


def at_port(port: int, **settings: Any) -> WorldEndpoint:
    return WorldEndpoint(truth(), WorldEndpointConfig(judge=PRICED, port=port, **settings))


def forecast(config: EvaluateConfig) -> dict[str, Any]:
    [found] = plan_evaluation(config)
    assert found.estimate is not None
    return {"calls": found.estimate.num_calls, "known": found.estimate.num_known}


def test_a_judge_that_is_right_gets_all_and_each_reply_is_paid_once(
    tmp_path: Path, data: Path, endpoint: WorldEndpoint
) -> None:
    config = config_of(data, judge_at(endpoint.base_url), output=tmp_path / "run")
    for _ in range(2):
        evaluate(config, command=COMMAND)
    found = only_result(tmp_path / "run")
    assert found["figures"]["overall"]["value"] == 1
    assert found["protocol"] == "half" and found["counts"]["num_votes"] == 2 * NUM_ROWS
    assert found["order_consistency"]["same"]["accuracy"] == 1
    assert found["position_bias"]["prefers_first"]["accuracy"] == 0.5
    assert found["calibration"] is None
    assert set(endpoint.bill.answered.values()) == {1}
    assert found["cost"]["dollars"]["total"] == pytest.approx(endpoint.bill.dollars)
    [money] = results_of(tmp_path / "run")["dollars"].values()
    assert money == {"billed": pytest.approx(endpoint.bill.dollars), "maybe_billed": 0}


def test_a_rehearsal_foretells_the_calls_that_are_then_made(
    tmp_path: Path, data: Path, endpoint: WorldEndpoint
) -> None:
    config = config_of(data, judge_at(endpoint.base_url), output=tmp_path / "run", num_votes=None)
    assert forecast(config) == {"calls": 2 * NUM_ROWS, "known": 0}
    assert endpoint.bill.answered == {} and not (tmp_path / "run").exists()
    evaluate(config, command=COMMAND)
    assert len(endpoint.bill.answered) == 2 * NUM_ROWS
    assert forecast(config) == {"calls": 0, "known": 2 * NUM_ROWS}


def test_a_rehearsal_counts_captions_and_every_member_of_a_jury_and_loads_nothing(
    tmp_path: Path, data: Path, endpoint: WorldEndpoint
) -> None:
    judge = judge_at(endpoint.base_url)
    assert judge.judge is not None and judge.judge.endpoint is not None
    describer = CaptionConfig(endpoint=replace(judge.judge.endpoint, model="world-describer"))
    jury = EnsembleConfig(members=(judge, parse_scorer("judge:local:./nowhere")))
    for scorer, num_calls in (
        (ScorerConfig(ensemble=jury), 2 * NUM_ROWS),
        (replace(judge, captions=describer), 2 * NUM_ROWS + _num_prompts(data)),
        (replace(parse_scorer("./nowhere"), captions=describer), _num_prompts(data)),
    ):
        assert forecast(config_of(data, scorer, output=tmp_path / "run"))["calls"] == num_calls


def _num_prompts(data: Path) -> int:
    pairs = load_preferences([SourceConfig(path=str(data))]).pairs
    return len({one.prompt.id for one in pairs if one.prompt.pictures})


def test_money_that_does_not_reach_stops_the_run_and_more_ends_it(
    tmp_path: Path, data: Path, endpoint: WorldEndpoint
) -> None:
    config = config_of(data, judge_at(endpoint.base_url), output=tmp_path / "run")
    with pytest.raises(ConfigError, match="budget-spent"):
        evaluate(config, command=COMMAND, max_dollars=0.01)
    assert 0 < endpoint.bill.dollars <= 0.01
    evaluate(config, command=COMMAND, max_dollars=10.0)
    assert set(endpoint.bill.answered.values()) == {1}
    assert only_result(tmp_path / "run")["failures"] == {}


def test_an_endpoint_that_is_down_ends_the_run_which_goes_on_when_it_is_up(
    tmp_path: Path, data: Path
) -> None:
    port = free_port()
    config = config_of(data, judge_at(f"http://127.0.0.1:{port}/v1"), output=tmp_path / "run")
    with at_port(port, faults=FaultRates(server_error=1.0)), pytest.raises(EndpointError):
        evaluate(config, command=COMMAND)
    with at_port(port):
        evaluate(config, command=COMMAND)
    assert only_result(tmp_path / "run")["figures"]["overall"]["value"] == 1


def test_rows_that_an_outage_cost_are_counted_and_asked_again(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "few.parquet", number=3)
    port = free_port()
    config = config_of(data, judge_at(f"http://127.0.0.1:{port}/v1"), output=tmp_path / "run")
    with at_port(port, faults=FaultRates(server_error=1.0)):
        found = evaluate(config, command=COMMAND)
    [shortfall] = found.shortfalls()
    assert "3 rows without a result (no-answer-server-error: 3)" in shortfall
    assert only_result(tmp_path / "run")["failures"] == {"no-answer-server-error": 3}
    assert only_result(tmp_path / "run")["figures"]["overall"]["value"] is None
    with at_port(port):
        assert not list(evaluate(config, command=COMMAND).shortfalls())
    assert only_result(tmp_path / "run")["figures"]["overall"]["value"] == 1


def test_replies_that_cannot_be_read_count_half_and_are_not_asked_again(
    tmp_path: Path, data: Path, endpoint: WorldEndpoint
) -> None:
    unread = judge_at(endpoint.base_url, name="in words", form="brackets", order="given")
    config = config_of(data, unread, output=tmp_path / "run")
    for _ in range(2):
        evaluate(config, command=COMMAND)
    found = only_result(tmp_path / "run")
    assert found["unread_replies"] == {"verdict-unreadable": NUM_ROWS}
    assert found["figures"]["overall"]["value"] == 0.5 and found["failures"] == {}
    assert set(endpoint.bill.answered.values()) == {1}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "verdict-unreadable: 12" in page
    assert f"in words on world: none of {NUM_ROWS} replies could be read" in page


def test_a_judge_of_whom_nothing_can_be_read_ends_with_3(
    tmp_path: Path,
    data: Path,
    endpoint: WorldEndpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = tmp_path / "judge.yaml"
    unread = judge_at(endpoint.base_url, name="in words", form="brackets", order="given")
    settings.write_text(configuration.to_yaml(unread))
    words = ["eval", "--data", str(data), "--model", str(settings)]
    assert cli.run([*words, "--output", str(tmp_path / "run")]) == 3
    assert f"in words on world: none of {NUM_ROWS} replies could" in capsys.readouterr().out


def test_a_judge_of_pairs_is_not_paid_for_rows_of_three(
    tmp_path: Path, endpoint: WorldEndpoint
) -> None:
    rows = [
        {
            "prompt": "1 and 1?",
            "responses": ["2.", "3.", "4."][:number],
            "ratings": [1, 0, 0][:number],
        }
        for number in (2, 3)
    ]
    config = config_of(
        write_lines(tmp_path / "choices.jsonl", rows),
        judge_at(endpoint.base_url),
        output=tmp_path / "run",
    )
    with pytest.raises(ConfigError, match="judge-wants-two") as caught:
        evaluate(config, command=COMMAND)
    assert "1 of 2 rows" in str(caught.value)
    with pytest.raises(ConfigError, match="judge-wants-two"):
        plan_evaluation(config)
    assert not endpoint.bill.answered and not (tmp_path / "run").exists()


def test_a_judge_who_rates_is_a_scorer(tmp_path: Path, data: Path, endpoint: WorldEndpoint) -> None:
    rater = judge_at(endpoint.base_url, ask="rating", structured=True)
    config = config_of(data, rater, output=tmp_path / "run")
    evaluate(config, command=COMMAND)
    found = only_result(tmp_path / "run")
    assert found["figures"]["overall"]["value"] == 1 and found["calibration"] is not None
    [money] = results_of(tmp_path / "run")["dollars"].values()
    assert money["billed"] == pytest.approx(endpoint.bill.dollars)
    assert found["cost"]["dollars"]["total"] == pytest.approx(endpoint.bill.dollars)


def test_a_reply_that_rows_share_is_counted_once(tmp_path: Path, endpoint: WorldEndpoint) -> None:
    few = write_pairs(tmp_path / "few.parquet", number=3)
    pairs = load_preferences([SourceConfig(path=str(few))]).pairs
    write_parquet([*pairs, *pairs], tmp_path / "doubled.parquet")
    config = config_of(
        tmp_path / "doubled.parquet", judge_at(endpoint.base_url), output=tmp_path / "run"
    )
    evaluate(config, command=COMMAND)
    found = only_result(tmp_path / "run")
    assert found["counts"]["num_rows"] == 6 and len(endpoint.bill.answered) == 6
    assert found["cost"]["dollars"]["total"] == pytest.approx(endpoint.bill.dollars)


def test_several_models_stand_in_one_table_and_a_judges_mistakes_are_shown(
    tmp_path: Path, data: Path
) -> None:
    wrong = RoleConfig(error_rate=0.5)
    with WorldEndpoint(truth(), WorldEndpointConfig(judge=wrong)) as served:
        half = judge_at(served.base_url, name="half")
        again = judge_at(served.base_url, name="again", order="random")
        evaluate(config_of(data, half, again, output=tmp_path / "run"), command=COMMAND)
    results = {one["model"]: one for one in results_of(tmp_path / "run")["results"]}
    assert set(results) == {"half", "again"}
    assert 0 < results["half"]["figures"]["overall"]["value"] < 1
    table = (tmp_path / "run" / "tables.txt").read_text()
    assert "half [1]" in table and "again [2]" in table
    assert "2 of 2 votes" in (tmp_path / "run" / "report.html").read_text()


def test_the_command_rehearses_runs_and_begins_from_a_file(
    tmp_path: Path,
    data: Path,
    endpoint: WorldEndpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    word = f"judge:world-judge@{endpoint.base_url}"
    arguments = ["eval", "--data", str(data), "--model", word, "--votes", "2"]
    output = ["--output", str(tmp_path / "run")]
    assert cli.run([*arguments, *output, "--dry-run"]) == 0
    assert f"{4 * NUM_ROWS} calls, 0 known" in capsys.readouterr().out
    assert cli.run([*arguments, *output]) == 0
    said = capsys.readouterr().out
    assert "100.0" in said and "report.html" in said
    file = tmp_path / "run" / "config.yaml"
    assert cli.run(["eval", "--from", str(file), "--output", str(tmp_path / "other")]) == 0
    before, after = (only_result(tmp_path / name) for name in ("run", "other"))
    assert before["figures"] == after["figures"]
    config = configuration.load(file, EvaluateConfig)
    assert config.models[0].scorer.judge is not None
    assert config.models[0].scorer.judge.num_votes == 2


def test_a_rehearsal_says_whether_the_money_will_do(
    tmp_path: Path,
    data: Path,
    endpoint: WorldEndpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = tmp_path / "judge.yaml"
    settings.write_text(configuration.to_yaml(judge_at(endpoint.base_url, name="paid")))
    words = ["eval", "--data", str(data), "--model", str(settings), "--dry-run"]
    run = ["--output", str(tmp_path / "run")]
    assert cli.run([*words, *run, "--max-dollars", "0.001"]) == 2
    assert "will not do" in capsys.readouterr().out
    assert cli.run([*words, *run, "--max-dollars", "10"]) == 0
    assert f"All together: {2 * NUM_ROWS} calls" in capsys.readouterr().out


def test_under_a_cap_it_must_be_known_what_pictures_are_billed_as(
    tmp_path: Path,
    data: Path,
    endpoint: WorldEndpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = config_of(
        data, judge_at(endpoint.base_url, tokens_per_picture=None), output=tmp_path / "run"
    )
    for start in (plan_evaluation, partial(evaluate, command=COMMAND)):
        with pytest.raises(ConfigError, match="picture-tokens-unknown") as caught:
            start(config, max_dollars=10.0)
        assert "--write-config FILE" in str(caught.value)
    assert endpoint.bill.answered == {} and not (tmp_path / "run").exists()
    file = tmp_path / "run.yaml"
    file.write_text(configuration.to_yaml(config))
    assert cli.run(["eval", "--from", str(file), "--dry-run"]) == 0
    assert "What world-judge bills a picture as is not known here" in capsys.readouterr().out


def test_under_a_cap_a_price_must_be_known_before_anything_is_read(
    tmp_path: Path, data: Path, endpoint: WorldEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlreward.workflows.evaluate.load_benchmark", None)
    unpriced = judge_at(
        endpoint.base_url,
        dollars_per_million_input_tokens=None,
        dollars_per_million_output_tokens=None,
    )
    with pytest.raises(ConfigError, match="price-unknown"):
        config = config_of(data, unpriced, output=tmp_path / "run")
        evaluate(config, command=COMMAND, max_dollars=1.0)


def test_a_rehearsal_says_what_is_taken_to_be_free_and_how_votes_are_counted(
    tmp_path: Path,
    data: Path,
    endpoint: WorldEndpoint,
    capsys: pytest.CaptureFixture[str],
) -> None:
    word = f"world-judge@{endpoint.base_url}"
    words = ["eval", "--data", str(data), "--model", f"judge:{word}", "--dry-run"]
    assert cli.run([*words, "--output", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "2 votes a row, counted as half" in said
    assert f"Taken to cost nothing, as an endpoint of your own: {word}" in said


def test_what_the_flags_say_is_written_into_a_file_that_runs(
    tmp_path: Path, data: Path, endpoint: WorldEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "run.yaml", tmp_path / "run"
    word = f"judge:world-judge@{endpoint.base_url}"
    words = ["eval", "--data", str(data), "--model", word, "--output", str(run)]
    with pytest.raises(ConfigError, match="no such flag beside --write-config"):
        command_lines.read_eval_arguments([*words[1:], "--write-config", "f", "--dry-run"])
    assert cli.run([*words, "--write-config", str(file)]) == 0
    assert f"vlreward eval --from {file}" in capsys.readouterr().out
    assert "tokens_per_picture" in file.read_text() and not run.exists()
    assert cli.run(["eval", "--from", str(file)]) == 0
    assert only_result(run)["figures"]["overall"]["value"] == 1


def test_an_endpoint_that_is_not_there_is_missed_before_anything_is_read(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlreward.workflows.evaluate.load_benchmark", None)
    judge = judge_at(f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(EndpointError, match="endpoint-down"):
        evaluate(config_of(data, judge, output=tmp_path / "run"), command=COMMAND)
    assert not (tmp_path / "run").exists()


def test_a_key_that_is_not_there_is_missed_before_anything_is_read(
    tmp_path: Path, data: Path
) -> None:
    judge = judge_at("https://127.0.0.1:1/v1", api_key_env="NO_SUCH_KEY")
    with pytest.raises(ConfigError, match="key-missing"):
        evaluate(config_of(data, judge, output=tmp_path / "run"), command=COMMAND)
    assert not (tmp_path / "run").exists()
