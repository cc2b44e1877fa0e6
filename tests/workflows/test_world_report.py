"""The page about the world: whole, self-contained, and it tells what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from vlreward.evaluation.scorers.protocols import PatientScorer
from vlreward.records import Prompt, Response, Score
from vlreward.workflows.world_exam import WorldExam, judge_pairs
from vlreward.workflows.world_report import write_world_report
from vlreward.world.cases import make_cases


class LikesShort(PatientScorer):
    """A scorer for which the shorter answer is the better one."""

    def score_each(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score]]:
        for _, responses in comparisons:
            yield [Score(value=-float(len(one.text)), num_tokens=1) for one in responses]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    exam = WorldExam.draw(num_pictures=102, num_text_pairs=12, seed=0)
    write_world_report(
        folder / "report.html",
        name="likes <short>",
        result=exam.take(LikesShort()),
        scorers={"likes <short>": LikesShort(), "the same": LikesShort()},
        cases=make_cases(folder / "cases"),
    )
    return (folder / "report.html").read_text()


def test_the_page_asks_nothing_of_a_network(page: str) -> None:
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "http" not in page and "<script" not in page


def test_names_and_answers_are_text_and_no_markup(page: str) -> None:
    assert "likes &lt;short&gt;" in page and "likes <short>" not in page


def test_it_shows_every_task_both_cases_and_mistakes(page: str) -> None:
    for said in ("counting", "rambling", "text arithmetic", "pictures shuffled"):
        assert f"<td>{said}</td>" in page or said in page
    assert page.count("the same ") == 4
    assert page.count('class="pair"') == 2 + 8


def test_in_both_cases_each_answer_is_right_and_the_worse_one_longer(tmp_path: Path) -> None:
    sector, bar = make_cases(tmp_path)
    for case in (sector, bar):
        value = case.chosen.text.split("So the answer is ")[1].rstrip(".")
        assert value in case.rejected.text
        assert len(case.rejected.text) > len(case.chosen.text)
    assert "π" in sector.chosen.text and "sector" in str(sector.prompt)
    assert [one.is_right for one in judge_pairs(LikesShort(), [sector, bar])] == [True, True]
    assert [one.id for one in make_cases(tmp_path)] == [sector.id, bar.id]
