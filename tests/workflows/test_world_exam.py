"""The exam's groups and shares, with scorers whose answers are known."""

from __future__ import annotations

import pytest

from tests.workflows.examining import EXAM, KnowsAnswers
from vlreward.workflows.world_exam import ExamResult
from vlreward.world.catalogue import FAMILIES
from vlreward.world.texts import TEXT_FAMILIES


@pytest.fixture(scope="module")
def result() -> ExamResult:
    return EXAM.take(KnowsAnswers())


def test_who_knows_all_answers_orders_all_pairs_but_shuffled_ones(result: ExamResult) -> None:
    rows = {row.name: row for row in result.rows}
    assert {*FAMILIES, *TEXT_FAMILIES, "multimodal", "text", "right over rambling"} <= set(rows)
    for row in result.rows:
        assert row.seen is not None and row.seen.accuracy == 1.0
        assert row.unseen is None or row.unseen.accuracy == 1.0
    shuffled = rows["decided by the picture"].shuffled
    assert shuffled is not None and shuffled.accuracy < 0.3  # it knows no such prompts


def test_counts_are_those_of_the_exam(result: ExamResult) -> None:
    rows = {row.name: row for row in result.rows}
    assert rows["text"].seen is not None and rows["text"].seen.num_all == len(EXAM.text) == 60
    assert rows["text"].unseen is rows["text"].shuffled is None
    by_truth = sum(one.rejected == "wrong" for one in EXAM.seen)
    assert sum(rows[name].num_pairs for name in FAMILIES) == by_truth
    assert rows["decided by the picture"].num_pairs == by_truth
    assert rows["multimodal"].num_pairs == len(EXAM.seen)
    rambling = rows["right over rambling"].seen
    assert rambling is not None
    assert rambling.num_all == sum(one.rejected == "rambling" for one in EXAM.seen)


def test_in_the_control_only_the_picture_decides_and_it_is_another() -> None:
    originals = [one.pair for one in EXAM.seen if one.rejected == "wrong"]
    assert 0.9 * len(originals) <= len(EXAM.shuffled) <= len(originals)
    shown = {(pair.chosen, pair.rejected, pair.prompt) for pair in originals}
    as_before = sum((p.chosen, p.rejected, p.prompt) in shown for p in EXAM.shuffled)
    assert as_before < 0.3 * len(EXAM.shuffled)  # where another scene has the same answer


def test_looks_and_splits_share_no_picture() -> None:
    seen = {picture for one in EXAM.seen for picture in one.pair.pictures}
    unseen = {picture for one in EXAM.unseen for picture in one.pair.pictures}
    assert seen.isdisjoint(unseen) and len(seen) > 280


def test_everything_measured_is_said_in_json(result: ExamResult) -> None:
    fields = result.as_fields()["multimodal"]
    assert fields["seen"]["num_pairs"] == len(EXAM.seen)
    low, high = (round(bound, 9) for bound in fields["seen"]["interval"])
    assert low < fields["seen"]["accuracy"] == high == 1.0
