"""What an outcome says of its row."""

import pytest

from tests.evaluation.making import example, outcome, scored, voted
from vlreward.evaluation.outcomes import outcome_of


@pytest.mark.parametrize(
    ("scores", "best", "winner", "is_tie", "margin"),
    [
        ((2.0, 1.0), (0,), 0, False, 1.0),
        ((1.0, 2.5), (1,), 1, False, -1.5),
        ((1.0, 1.0), (0, 1), None, True, 0.0),
    ],
)
def test_scores_tell_the_winner_and_the_margin(scores, best, winner, is_tie, margin):
    one = scored("r", *scores)
    assert (one.best, one.winner, one.is_tie, one.margin) == (best, winner, is_tie, margin)
    assert one.is_pair


def test_of_many_the_margin_is_between_the_best_right_and_the_best_wrong_one():
    assert scored("r", 1.0, 4.0, 3.0, 2.0, right=(0, 2)).margin == -1.0
    assert scored("r", 1.0, 4.0, right=()).margin is None
    assert scored("r", 1.0, 4.0, right=(0, 1)).margin is None
    assert voted("r", [0]).margin is None


@pytest.mark.parametrize(
    ("winners", "winner", "is_tie", "num_unparsed"),
    [
        ([0], 0, False, 0),
        ([0, 1, 1], 1, False, 0),
        ([0, 1], None, True, 0),
        ([None], None, True, 0),
        ([None, 1], 1, False, 0),
        (["no verdict"], None, False, 1),
        (["no verdict", 0, "none"], 0, False, 2),
    ],
)
def test_votes_tell_winner_tie_and_unread_replies(winners, winner, is_tie, num_unparsed):
    one = voted("r", winners)
    assert (one.winner, one.is_tie, one.num_unparsed) == (winner, is_tie, num_unparsed)


def test_an_outcome_has_scores_or_votes_or_a_failure():
    failed = outcome("r", failure="picture-missing")
    assert (failed.winner, failed.is_tie, failed.margin) == (None, False, None)
    for wrong in ({}, {"scores": (1.0, 2.0), "failure": "x"}, {"scores": (1.0,)}):
        with pytest.raises(AssertionError):
            outcome("r", **wrong)
    with pytest.raises(AssertionError):
        scored("r", 1.0, float("nan"))


def test_an_examples_outcome_carries_its_facts():
    row = example("a", group="h")
    made = outcome_of(row, scores=(1.0, 2.0), seconds=0.5, dollars=0.01)
    assert (made.id, made.group, made.cluster, made.right) == ("a", "h", row.cluster, (0,))
    assert (made.fingerprint, made.num_characters) == (row.fingerprint, (3, 3))
    assert (made.seconds, made.dollars) == (0.5, 0.01)
