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


def test_our_row_stands_below_the_published_ones_with_intervals():
    row = measured(VL_ROWS, vl_rewardbench.arithmetic(), notes=("rows in all: 24 instead of 1250",))
    published = PUBLISHED["vl-rewardbench"]
    text = shown(results_table([row], title="VL-RewardBench", published=published))
    lines = [line for line in text.splitlines() if "│" in line]
    names = [line.split("│")[1].strip() for line in lines]
    assert names.index("Proprietary (published)") < names.index("GPT-4o")
    assert names.index("Skywork-VL Reward") < names.index("Measured here")
    ours = lines[names.index("mine [1]")]
    assert [cell.strip() for cell in ours.split("│")[2:8]] == ["–", *["75.0"] * 5]
    below = lines[names.index("mine [1]") + 1].split("│")[6]
    assert "–" in below and below.count(".") == 2
    words = " ".join(text.split())
    assert "arXiv 2505.07263, table 3; not measured here" in words
    assert "[1] rows: 24; rows in all: 24 instead of 1250" in words


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
