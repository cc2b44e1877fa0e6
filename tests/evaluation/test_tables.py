"""Published figures hang together, and ours stand beside them."""

from __future__ import annotations

import io
from statistics import fmean

import pytest
from rich.console import Console

from tests.evaluation.making import outcome, scored, voted
from vlreward.evaluation.accuracy import measure
from vlreward.evaluation.benchmarks import rewardbench, vl_rewardbench
from vlreward.evaluation.benchmarks.pairs import PAIRS
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.evaluation.published import PUBLISHED
from vlreward.evaluation.scorers.lineup import find_row, row_of
from vlreward.evaluation.scorers.spec import parse_scorer
from vlreward.evaluation.statistics.bootstrap import intervals
from vlreward.evaluation.tables import MeasuredRow, results_table


def shown(table) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(table)
    return out.getvalue()


def measured(rows, arithmetic, **facts) -> MeasuredRow:
    accuracy = measure(rows, arithmetic=arithmetic)
    drawn = intervals(accuracy, num_resamples=50)
    return MeasuredRow(accuracy=accuracy, intervals=drawn, **{"model": "mine", **facts})


VL_ROWS = [
    scored(f"{group}{n}", float(n < 6), 0.5, group=group)
    for group in ("general", "hallucination", "reasoning")
    for n in range(8)
]


@pytest.mark.parametrize("row", PUBLISHED["vl-rewardbench"].rows, ids=lambda row: "".join(row[:2]))
def test_a_published_macro_mean_is_that_of_its_groups(row):
    general, hallucination, reasoning, _, macro = row.values
    assert macro == pytest.approx(fmean([general, hallucination, reasoning]), abs=0.1)


@pytest.mark.parametrize("row", PUBLISHED["rewardbench"].rows, ids=lambda row: "".join(row[:2]))
def test_a_published_average_is_that_of_its_sections(row):
    assert row.values[4] == pytest.approx(fmean(row.values[:4]), abs=0.1)


def test_tables_three_and_four_are_whole():
    three, four = PUBLISHED["vl-rewardbench"], PUBLISHED["rewardbench"]
    assert (len(three.rows), len(four.rows)) == (16, 9)
    assert all(len(row.values) == 5 for row in (*three.rows, *four.rows))
    assert three.source.endswith("table 3") and four.source.endswith("table 4")
    ours = measure(VL_ROWS, arithmetic=vl_rewardbench.arithmetic())
    assert tuple(ours.figures) == three.figures
    assert tuple(measure([], arithmetic=rewardbench.arithmetic()).figures) == four.figures


def cells_of(line: str) -> list[str]:
    return line.split()


def test_our_row_stands_below_the_published_ones_with_intervals():
    row = measured(VL_ROWS, vl_rewardbench.arithmetic(), notes=("read in part",))
    published = PUBLISHED["vl-rewardbench"]
    note = ["rows in all: 24 instead of 1250"]
    text = shown(results_table([row], title="VL", published=published, notes=note))
    lines = text.splitlines()
    [gpt] = [n for n, line in enumerate(lines) if "GPT-4o" in line]
    [here] = [n for n, line in enumerate(lines) if line.strip() == "Measured here"]
    assert lines.index(next(line for line in lines if "Proprietary (published)" in line)) < gpt
    assert cells_of(lines[here + 1]) == ["mine", "[1]", "–", *["75.0"] * 5]
    assert len(cells_of(lines[here + 2])) == 5 and lines[here + 2].count("–") == 5
    words = " ".join(text.split())
    assert "arXiv 2505.07263, table 3; not measured here" in words
    assert "rows in all: 24 instead of 1250. [1] rows: 24; read in part" in words


def test_our_row_of_a_published_model_stands_below_that_one():
    row = measured(VL_ROWS, vl_rewardbench.arithmetic(), model="own", word="gpt-4o", size="–")
    published = PUBLISHED["vl-rewardbench"]
    lines = shown(results_table([row], title="VL", published=published)).splitlines()
    [gpt] = [n for n, line in enumerate(lines) if "GPT-4o" in line]
    assert cells_of(lines[gpt + 1])[:4] == ["own", "[1]", "measured", "here"]
    assert "Measured here" not in [line.strip() for line in lines]


def test_every_published_row_has_a_word_that_runs_its_model_on_its_table():
    for number, table in ((3, PUBLISHED["vl-rewardbench"]), (4, PUBLISHED["rewardbench"])):
        words = [row.word for row in table.rows]
        assert len(set(words)) == len(words)
        for word in words:
            found = find_row(word)
            assert found is not None and number in found.tables
            assert row_of(found.config(table=number)) is found


def test_a_model_is_known_by_whatever_word_it_came():
    for word, name in (
        ("Skywork/Skywork-VL-Reward-7B@v1", "skywork-vl-reward-7b"),
        ("judge:local:Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b"),
        ("judge:openai:gpt-4o-2024-08-06", "gpt-4o"),
    ):
        found = row_of(parse_scorer(word))
        assert found is not None and found.word == name
    for word in ("rate:openai:gpt-4o-2024-08-06", "judge:openai:gpt-5", "miniature"):
        assert row_of(parse_scorer(word)) is None


def test_many_figures_go_down_and_models_across():
    groups = [f"group-{name}" for name in "abcdef"]
    rows = [scored(f"{name}{n}", 1.0, 0.0, group=name) for name in groups for n in range(2)]
    both = [
        measured(rows, PAIRS.arithmetic(BenchmarkConfig()), model=name) for name in ("one", "two")
    ]
    lines = [cells_of(line) for line in shown(results_table(both, title="Own")).splitlines()]
    assert ["Figure", "one", "[1]", "two", "[2]"] in lines
    assert ["group-c", "100.0", "100.0"] in lines and ["overall", "100.0", "100.0"] in lines


def test_unread_replies_ties_and_failures_are_said():
    rows = [
        voted("a", [0], group="general"),
        voted("b", ["unread"], group="general"),
        voted("c", [None], group="general"),
        outcome("d", failure="gone", group="general"),
    ]
    table = results_table([measured(rows, vl_rewardbench.arithmetic())], title="Mine")
    assert (
        "rows: 4; protocol: official, K = 1; replies that could not be read: 1 of 3; ties: 1; "
        "left out by the protocol: 2; without a result: 1"
    ) in " ".join(shown(table).split())


def test_a_figure_without_rows_is_a_dash_and_names_are_no_markup():
    rows = [scored("a", 1.0, 0.0, group="[red]s", subset="x"), scored("b", 1.0, 0.0, group="t")]
    row = measured(rows, PAIRS.arithmetic(BenchmarkConfig()), model="[bold]mine")
    text = shown(results_table([row], title="Pairs"))
    assert "[red]s" in text and "[bold]mine" in text
    one = measured(VL_ROWS[:8], vl_rewardbench.arithmetic())
    assert "–" in shown(results_table([one], title="VL"))
