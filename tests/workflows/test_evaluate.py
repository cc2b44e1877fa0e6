"""`vlreward eval` with reward models: figures, files, pages, resuming, rows without a score."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sources.making import write_pictures
from tests.workflows.evaluating import (
    COMMAND,
    config_of,
    only_result,
    pair_rows,
    results_of,
    write_lines,
    write_pairs,
)
from vlreward import cli
from vlreward.errors import CheckpointError, ConfigError, DataError
from vlreward.evaluation.outcome_files import OUTCOMES, OutcomeLog, read_outcomes
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.spec import evaluation
from vlreward.generation.journal import ReplyJournal
from vlreward.modeling.folders import SHIPPED
from vlreward.workflows.evaluate import JOURNAL, evaluate, holds_work, plan_evaluation


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the shipped model on the world's pairs, pictures shuffled too."""
    root = tmp_path_factory.mktemp("eval")
    data = write_pairs(root / "world <b>.parquet")
    config = config_of(
        data, "miniature", output=root / "run", shuffled_pictures=True, num_votes=None
    )
    evaluate(config, command=[*COMMAND, "--api-key", "s3cret"])
    return root / "run"


def test_figures_are_those_of_the_outcomes(run: Path) -> None:
    found = only_result(run)
    outcomes = read_outcomes(run / found["outcomes"])
    right = sum(one.scores[0] > one.scores[1] for one in outcomes)
    overall = found["figures"]["overall"]
    assert overall["value"] == pytest.approx(right / len(outcomes))
    low, high = overall["interval"]
    assert 0 <= low <= overall["value"] <= high <= 1
    assert overall["value"] > 0.7
    assert sum(one["number"] for one in found["buckets"]) == len(outcomes)
    assert found["counts"]["num_rows"] == len(outcomes) and found["failures"] == {}
    assert found["calibration"]["num_pairs"] == len(outcomes)
    assert found["position_bias"] is None and found["length_bias"]["prefers_longer"]["num_all"] > 0


def test_the_table_says_what_shuffled_pictures_cost(run: Path) -> None:
    said = " ".join((run / "tables.txt").read_text().split())
    found = only_result(run)["picture_use"]["differences"]["overall"]
    value, low, high = (100 * number for number in (found["value"], *found["interval"]))
    assert f"overall {value:+.1f} [{low:+.1f}, {high:+.1f}] points over shuffled pictures" in said


def test_right_pictures_are_worth_something(run: Path) -> None:
    use = only_result(run)["picture_use"]
    assert use["num_rows"] > 10
    assert use["differences"]["overall"]["value"] > 0.1


def test_the_results_say_how_they_came_to_be(run: Path) -> None:
    found = results_of(run)
    assert found["command"] == [*COMMAND, "--api-key", "***"]
    assert {"vlreward", "python", "torch"} <= set(found["versions"])
    assert (found["seed"], found["num_resamples"]) == (0, 10_000)
    [benchmark] = found["benchmarks"]
    assert benchmark["name"] == "pairs" and benchmark["sources"][0].endswith("world <b>.parquet")
    assert benchmark["num_rows"] == benchmark["num_rows_read"]
    assert found["results"][0]["weights"]["miniature"].startswith("sha256 ")
    assert "overall" in (run / "tables.txt").read_text()


def test_the_page_asks_nothing_of_a_network_and_names_are_no_markup(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "http" not in page and "<script" not in page and "s3cret" not in page
    assert "world &lt;b&gt;" in page and "world <b>" not in page


def test_the_page_shows_plots_biases_mistakes_and_the_command(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert page.count("<img") >= 3
    for said in (
        "longer response is preferred",
        "own pictures less shuffled ones",
        "expected calibration error",
        "The worst mistakes",
        "preferred, but wrong",
        "vlreward eval --api-key",
    ):
        assert said in page


def test_a_finished_run_is_not_scored_again(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(4))
    model = tmp_path / "model"
    shutil.copytree(SHIPPED["miniature"], model)
    config = config_of(data, str(model), output=tmp_path / "run")
    evaluate(config, command=COMMAND)
    before = only_result(tmp_path / "run")
    shutil.rmtree(model)
    evaluate(config, command=COMMAND)
    assert only_result(tmp_path / "run") == before


def test_rows_are_scored_by_one_model_alone(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(2))
    model = tmp_path / "model"
    shutil.copytree(SHIPPED["miniature"], model)
    config = config_of(data, str(model), output=tmp_path / "run")
    evaluate(config, command=COMMAND)
    write_lines(data, pair_rows(3))
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"]["config.json"]["sha256"] = "0" * 64
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError) as caught:
        evaluate(config, command=COMMAND)
    assert caught.value.code == "model-changed"


def test_a_finished_run_does_not_pass_for_one_of_a_model_trained_anew(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(2))
    model = tmp_path / "model"
    shutil.copytree(SHIPPED["miniature"], model)
    config = config_of(data, str(model), output=tmp_path / "run")
    evaluate(config, command=COMMAND)
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"]["config.json"]["sha256"] = "0" * 64
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="model-changed"):
        evaluate(config, command=COMMAND)


def test_a_base_model_is_refused_before_anything_is_read_or_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlreward.workflows.evaluate.load_benchmark", None)
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(3))
    with pytest.raises(CheckpointError, match="reward-head-missing"):
        evaluate(config_of(data, "miniature-base", output=tmp_path / "run"), command=COMMAND)


def test_rows_that_cannot_be_scored_are_counted_by_reason_and_end_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pair_rows(4)
    rows[1]["prompt"] = "word " * 3000
    rows[2]["images"] = ["gone.png"]
    data = write_lines(tmp_path / "rows.jsonl", rows)
    arguments = ["eval", "--data", str(data), "--model", "miniature"]
    assert cli.run([*arguments, "--output", str(tmp_path / "run")]) == 3
    found = results_of(tmp_path / "run")
    assert found["benchmarks"][0]["refused"] == {"picture-missing": 1}
    [result] = found["results"]
    assert result["failures"] == {"row-too-long": 1}
    assert result["counts"]["num_rows"] == 3 and result["counts"]["num_failed"] == 1
    assert "row-too-long: 1" in (tmp_path / "run" / "report.html").read_text()
    said = capsys.readouterr().out
    assert "1 row without a result (row-too-long: 1)" in said
    assert "1 row could not be read, first" in said and "picture-missing" in said


def vl_rows() -> list[dict[str, object]]:
    return [
        {
            "id": f"{prefix}{number}",
            "query": "What is shown?",
            "response": ["A red square.", "A blue circle."],
            "image": "red.png",
            "human_ranking": [0, 1],
        }
        for prefix in ("wildvision-battle-", "RLAIF-V-", "mmmu_")
        for number in range(2)
    ]


def test_a_row_without_its_picture_is_refused_unless_one_goes_on(tmp_path: Path) -> None:
    write_pictures(tmp_path, "red")
    rows = vl_rows()
    rows[0]["image"] = None
    data = write_lines(tmp_path / "vl.jsonl", rows)
    arguments = ["eval", "--benchmark", f"vl-rewardbench={data}", "--model", "miniature"]
    output = tmp_path / "run"
    with pytest.raises(DataError, match="benchmark-counts"):
        cli.run([*arguments, "--output", str(output)])
    assert not output.exists()
    assert cli.run([*arguments, "--partial", "--output", str(output)]) == 0
    found = results_of(output)
    assert found["benchmarks"][0]["refused"] == {"field-missing": 1}
    assert found["benchmarks"][0]["published"]["source"].endswith("table 3")
    assert "rows that could not be read: 1" in (output / "tables.txt").read_text()
    page = (output / "report.html").read_text()
    assert "GPT-4o" in page and "not measured here" in page


def test_candidates_are_chosen_among(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"{index} and 1?",
            "responses": [f"{index + 1}.", f"{index}.", "None."],
            "correct": [True, False, False],
        }
        for index in range(4)
    ]
    data = write_lines(tmp_path / "choices.jsonl", rows)
    config = evaluation(models=["miniature"], data=[str(data)], output=str(tmp_path / "run"))
    evaluate(config, command=COMMAND)
    figures = only_result(tmp_path / "run")["figures"]
    assert figures["chance"]["value"] == pytest.approx(1 / 3)
    assert figures["ceiling"]["value"] == 1


def test_a_rehearsal_of_a_local_model_makes_no_calls_and_leaves_nothing(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(3))
    config = config_of(data, "miniature", output=tmp_path / "run", shuffled_pictures=True)
    [found] = plan_evaluation(config)
    assert (found.num_rows, found.estimate) == (3, None)
    assert list(tmp_path.iterdir()) == [data]


def test_own_rows_that_cannot_be_read_end_with_3_unless_one_goes_on(tmp_path: Path) -> None:
    rows = pair_rows(4)
    rows[2]["chosen"] = 7
    data = write_lines(tmp_path / "rows.jsonl", rows)
    words = ["eval", "--data", str(data), "--model", "miniature", "--output"]
    assert cli.run([*words, str(tmp_path / "strict")]) == 3
    assert cli.run([*words, str(tmp_path / "lenient"), "--partial"]) == 0


def test_the_folder_may_be_spelt_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(3))
    evaluate(config_of(data, "miniature", output=tmp_path / "run"), command=COMMAND)
    monkeypatch.chdir(tmp_path)
    evaluate(config_of(data, "miniature", output=Path("run")), command=COMMAND)
    config = config_of(data, "miniature", output=Path("other"))
    shutil.copytree("run", "other")
    with pytest.raises(ConfigError, match="run-differs"):
        evaluate(config, command=COMMAND)


def test_a_model_that_is_nowhere_is_missed_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlreward.workflows.evaluate.load_benchmark", None)
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(3))
    with pytest.raises(CheckpointError, match="model-folder-missing"):
        evaluate(config_of(data, "nope", output=tmp_path / "run"), command=COMMAND)


def test_a_start_that_fails_before_any_row_leaves_the_folder_free(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(3))
    words = ["eval", "--data", str(data), "--output", str(tmp_path / "run"), "--model"]
    with pytest.raises(CheckpointError, match="model-folder-missing"):
        cli.run([*words, str(tmp_path / "nowhere")])
    assert cli.run([*words, "miniature"]) == 0


def test_a_journal_without_replies_is_no_work(tmp_path: Path) -> None:
    """Empty, its file has a size all the same."""
    (tmp_path / "judge").mkdir()
    with ReplyJournal(tmp_path / "judge" / JOURNAL) as journal:
        assert journal.count() == 0
    assert not holds_work(tmp_path)
    with ReplyJournal(tmp_path / "judge" / JOURNAL) as journal:
        journal.sending("a", dollars=0.1)
    assert holds_work(tmp_path), "a call that may have been paid for"


def test_it_is_said_where_no_pictures_could_be_shuffled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(3))
    config = config_of(data, "miniature", output=tmp_path / "run", shuffled_pictures=True)
    evaluate(config, command=COMMAND)
    assert "no pictures shuffled, as no row has any" in capsys.readouterr().err
    assert "no pictures shuffled" in (tmp_path / "run" / "report.html").read_text()


def test_other_settings_go_into_another_folder(run: Path, tmp_path: Path) -> None:
    other = write_lines(tmp_path / "rows.jsonl", pair_rows(3))
    with pytest.raises(ConfigError, match="run-differs"):
        evaluate(config_of(other, "miniature", output=run), command=COMMAND)


@pytest.mark.realdata
def test_a_sample_in_the_native_form_is_evaluated(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "format_samples" / "native_schema" / "vl_rewardbench.parquet"
    output = tmp_path / "run"
    arguments = ["eval", "--benchmark", f"vl-rewardbench={file}", "--partial"]
    assert cli.run([*arguments, "--model", "miniature", "--output", str(output)]) == 0
    found = only_result(output)
    assert list(found["figures"]) == ["general", "hallucination", "reasoning", "overall", "macro"]
    assert found["counts"]["num_rows"] == 28


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_75_and_it_goes_on(
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(8))
    arguments = ["eval", "--data", str(data), "--model", "miniature", "--output"]
    arguments.append(str(tmp_path / "run"))
    add = OutcomeLog.add

    def add_and_signal(log: OutcomeLog, outcome: Outcome) -> None:
        add(log, outcome)
        if outcome.id.endswith("row-4"):
            signal.raise_signal(number)

    with monkeypatch.context() as patched:
        patched.setattr(OutcomeLog, "add", add_and_signal)
        patched.setattr(sys, "argv", ["vlreward", *arguments])
        patched.setattr(os, "_exit", sys.exit)
        with pytest.raises(SystemExit, match="75"):
            cli.main()
    assert f"vlreward: evaluation: {number.name};" in capsys.readouterr().err
    assert num_done(tmp_path / "run" / "rows" / "miniature" / "rows") == 5
    assert cli.run(arguments) == 0
    assert only_result(tmp_path / "run")["counts"]["num_rows"] == 8


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_numbers_of_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    data = write_lines(tmp_path / "rows.jsonl", pair_rows(700))
    arguments = ["eval", "--data", str(data), "--model", "miniature", "--output"]
    program = f"from vlreward.cli import run; run({[*arguments, str(tmp_path / 'killed')]!r})"
    rows = tmp_path / "killed" / "rows" / "miniature" / "rows"
    for least in (64, 256):
        with subprocess.Popen([sys.executable, "-c", program]) as process:
            while process.poll() is None and num_done(rows) < least:
                time.sleep(0.02)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert least <= num_done(rows) < 700
    for name in ("killed", "whole"):
        assert cli.run([*arguments, str(tmp_path / name)]) == 0
    killed, whole = (
        read_outcomes(tmp_path / name / "rows" / "miniature" / "rows" / OUTCOMES)
        for name in ("killed", "whole")
    )
    assert [one.id for one in killed] == [one.id for one in whole]
    for one, other in zip(killed, whole, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def num_done(folder: Path) -> int:
    """How many rows of a log are on the disk."""
    tail = folder / "tail.jsonl"
    parts = sorted(folder.glob("part-*.parquet"))
    in_tail = tail.read_bytes().count(b"\n") if tail.exists() else 0
    return in_tail + sum(len(read_outcomes(part)) for part in parts)
