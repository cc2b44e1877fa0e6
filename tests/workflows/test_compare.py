"""`vlreward eval --compare`: the same rows, figure by figure, and what cannot be compared."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.making import outcome, scored
from vlreward import cli
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.config import BenchmarkConfig, EvaluateConfig, EvaluatedConfig
from vlreward.evaluation.outcome_files import OUTCOMES, write_outcomes
from vlreward.evaluation.outcomes import Outcome
from vlreward.evaluation.scorers.config import ScorerConfig, WeightsConfig
from vlreward.runs import RunFolder
from vlreward.sources.config import SourceConfig
from vlreward.workflows.compare import Compared, compare_runs
from vlreward.workflows.measurements import outcomes_folder


def outcomes(num_right: int, *, number: int = 40) -> list[Outcome]:
    return [
        scored(f"row {n}", float(n < num_right), 0.5, group="a" if n % 2 else "b")
        for n in range(number)
    ]


def finished(
    folder: Path, *, file: str = "own.jsonl", more: tuple[str, ...] = (), **models: list[Outcome]
) -> Path:
    """A run's folder with the outcomes of its models on the first of its files."""
    config = EvaluateConfig(
        output=str(folder),
        benchmarks=tuple(
            BenchmarkConfig(name="pairs", source=SourceConfig(path=one)) for one in (file, *more)
        ),
        models=tuple(
            EvaluatedConfig(scorer=ScorerConfig(name=name, reward_model=WeightsConfig(path=name)))
            for name in models
        ),
    )
    RunFolder.create(folder, config=config, command=["vlreward", "eval"], clock=lambda: 0.0)
    for model, rows in zip(config.models, models.values(), strict=True):
        write_outcomes(rows, outcomes_folder(config, model, config.benchmarks[0]) / OUTCOMES)
    return folder


def compared(*runs: Path, output: Path | None = None) -> Compared:
    [found] = compare_runs(runs, output=output)
    return found


def test_the_difference_is_that_of_the_figures_and_swaps_its_sign(tmp_path: Path) -> None:
    one = finished(tmp_path / "one", good=outcomes(30))
    other = finished(tmp_path / "other", bad=outcomes(10))
    found, swapped = compared(one, other), compared(other, one)
    difference = found.found.differences["overall"]
    assert difference.value == pytest.approx(0.5)
    assert difference.interval is not None and 0 < difference.interval.low < 0.5
    assert difference.p_value < 0.001
    assert swapped.found.differences["overall"].value == pytest.approx(-0.5)
    assert found.found.mcnemar[:2] == (20, 0) and swapped.found.mcnemar[:2] == (0, 20)
    assert set(found.found.differences) == {"a", "b", "overall", "mean of sources"}


def test_a_model_against_itself_differs_in_nothing(tmp_path: Path) -> None:
    one = finished(tmp_path / "one", same=outcomes(30))
    found = compared(one, finished(tmp_path / "other", same=outcomes(30)))
    assert all(each.value == 0 and each.p_value == 1 for each in found.found.differences.values())
    assert found.first == f"same ({one})"


def test_the_models_of_one_run_are_compared_with_each_other(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", x=outcomes(30), y=outcomes(20), z=outcomes(10))
    found = compare_runs([run], output=None)
    assert [(one.first, one.second) for one in found] == [("x", "y"), ("x", "z"), ("y", "z")]


def test_the_command_prints_a_table_and_writes_files_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = finished(tmp_path / "one", **{"<b>good": outcomes(30)})
    other = finished(tmp_path / "other", bad=outcomes(10))
    assert cli.run(["eval", "--compare", str(one), str(other)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "overall 75.0 25.0 +50.0" in said and "McNemar's exact p" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]

    arguments = ["eval", "--compare", str(one), str(other), "--output", str(tmp_path / "cmp")]
    assert cli.run(arguments) == 0
    [fields] = json.loads((tmp_path / "cmp" / "compare.json").read_text())
    assert fields["differences"]["overall"]["value"] == pytest.approx(0.5)
    assert fields["mcnemar"]["num_first_better"] == 20
    page = (tmp_path / "cmp" / "compare.html").read_text()
    assert "&lt;b&gt;good" in page and "<b>good" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page) and "+50.0" in page


def test_where_one_has_no_figures_nothing_is_compared_and_it_is_said(tmp_path: Path) -> None:
    gone = [
        outcome(one.id, group=one.group, num_characters=(5, 5), failure="gone")
        for one in outcomes(30)
    ]
    run = finished(tmp_path / "run", good=outcomes(30), gone=gone)
    found = compared(run, output=tmp_path / "cmp")
    assert found.found.differences == {} and found.found.mcnemar.p_value == 1
    page = (tmp_path / "cmp" / "compare.html").read_text()
    assert "<img" not in page and "40 rows, none of which has a result in both" in page


def test_rows_without_a_result_do_not_count_as_agreement(tmp_path: Path) -> None:
    rows = outcomes(30)
    lost = [outcome(one.id, group=one.group, failure="gone") for one in rows[:10]]
    run = finished(tmp_path / "run", whole=rows, part=[*lost, *rows[10:]])
    found = compared(run)
    assert found.found.agreement[:2] == (30, 30)
    assert "10 rows have no result in one of them" in found.sentence


def test_it_is_said_which_benchmarks_only_one_run_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = finished(tmp_path / "one", more=("more.jsonl",), good=outcomes(30))
    other = finished(tmp_path / "other", bad=outcomes(10))
    compared(one, other, output=tmp_path / "out")
    said = "Not in every run, and not compared: more."
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "out" / "compare.html").read_text()


def test_other_rows_are_refused(tmp_path: Path) -> None:
    one = finished(tmp_path / "one", model=outcomes(30))
    fewer = finished(tmp_path / "fewer", model=outcomes(30, number=39))
    rows = outcomes(30)
    rows[3] = replace(rows[3], fingerprint="other content")
    changed = finished(tmp_path / "changed", model=rows)
    for other, shared in ((fewer, 39), (changed, 39)):
        with pytest.raises(DataError) as caught:
            compared(one, other)
        assert caught.value.code == "comparison-of-other-rows"
        assert f"{shared} are the same" in str(caught.value)


def test_runs_without_a_common_benchmark_or_protocol_are_refused(tmp_path: Path) -> None:
    one = finished(tmp_path / "one", model=outcomes(30))
    other = finished(tmp_path / "other", file="theirs.jsonl", model=outcomes(30))
    with pytest.raises(ConfigError, match="comparison-of-other-benchmarks"):
        compared(one, other)
    config = RunFolder.open(one, clock=lambda: 0.0).load_config(EvaluateConfig)
    wrong = replace(config, benchmarks=(replace(config.benchmarks[0], protocol="wrong"),))
    place = tmp_path / "wrong"
    RunFolder.create(place, config=wrong, command=["vlreward"], clock=lambda: 0.0)
    with pytest.raises(ConfigError, match="comparison-of-other-protocols"):
        compared(one, place)


def test_what_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    one = finished(tmp_path / "one", model=outcomes(30))
    with pytest.raises(ConfigError, match="run-missing"):
        compared(one, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="comparison-of-one"):
        compared(one)
    for path in one.rglob(OUTCOMES):
        path.unlink()
    with pytest.raises(ConfigError, match="run-unfinished"):
        compared(finished(tmp_path / "two", model=outcomes(30)), one)
