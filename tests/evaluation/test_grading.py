"""When a row counts as right: strict ties, and unread replies by each protocol."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.evaluation.making import outcome, scored, voted
from vlreward.errors import ConfigError
from vlreward.evaluation.benchmarks.definition import HALF, WRONG
from vlreward.evaluation.benchmarks.vl_rewardbench import LMMS_EVAL, VLMEVALKIT, official
from vlreward.evaluation.grading import coin, grade, strict


@pytest.mark.parametrize(
    ("scores", "right", "credit"),
    [
        ((2.0, 1.0), (0,), 1.0),
        ((1.0, 2.0), (0,), 0.0),
        ((1.0, 1.0), (0,), 0.0),
        ((1.0, 3.0, 3.0), (1, 2), 1.0),
        ((3.0, 3.0, 1.0), (1, 2), 0.0),
        ((1.0, 2.0), (), 0.0),
    ],
)
def test_a_tie_with_a_wrong_response_is_a_loss(scores, right, credit):
    assert strict(scored("r", *scores, right=right)) == credit


ROWS = [
    voted("right", [0]),
    voted("wrong", [1]),
    voted("tie", [None]),
    voted("unread", ["no verdict"]),
    outcome("failed", failure="endpoint-gone"),
    scored("tie of scores", 1.0, 1.0),
]


@pytest.mark.parametrize(
    ("protocol", "credits"),
    [
        (HALF, [1, 0, 0.5, 0.5, None, 0]),
        (WRONG, [1, 0, 0, 0, None, 0]),
        (official(), [1, 0, None, None, None, 0]),
        (VLMEVALKIT, [1, 0, 0, 0, None, 0]),
        (LMMS_EVAL, [1, 0, coin(ROWS[2]), coin(ROWS[3]), None, 0]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_ties_and_unread_replies_count_as_the_protocol_says(protocol, credits):
    assert grade(ROWS, protocol=protocol) == credits


@pytest.mark.parametrize(
    ("winners", "credit"),
    [
        ([0, 0, 1], 1.0),
        ([0, 1], 0.5),
        ([0, "unread", "unread"], 1.0),
        ([0, None, None], 0.5),
        (["unread"], 0.5),
    ],
)
def test_a_majority_is_more_than_half_of_the_readable_votes(winners, credit):
    assert grade([voted("r", winners)], protocol=HALF) == [credit]


def test_other_protocols_look_at_the_first_vote_alone():
    rows = [voted("r", [0, 1, 1]), voted("s", ["unread", 0, 0])]
    assert grade(rows, protocol=VLMEVALKIT) == [1.0, 0.0]


def test_a_coin_is_fair_and_falls_the_same_way_each_time():
    rows = [voted(f"r{number}", [None]) for number in range(2000)]
    thrown = [coin(row) for row in rows]
    assert thrown == [coin(row) for row in rows]
    assert abs(sum(thrown) - 1000) < 100


def recount_as_the_authors_do(rows, k):
    """The authors' count, told from their description: shuffle all, first K a row, majority."""
    generator = random.Random(1234)
    for step in (1, 3, 5, 7, 9):
        samples = [(row.id, vote) for row in rows for vote in row.votes]
        for index in range(len(samples)):
            other = generator.randint(0, len(samples) - 1)
            samples[index], samples[other] = samples[other], samples[index]
        if step == k:
            break
    found: dict[str, Counter[str]] = {}
    for row_id, vote in samples:
        counts = found.setdefault(row_id, Counter())
        if counts.total() < k:
            word = "unread" if vote.winner is None else "agree" if vote.winner == 0 else "reject"
            counts[word] += 1
    out = []
    for row in rows:
        counts = found[row.id]
        if counts["unread"] or counts["agree"] * 2 == counts.total():
            out.append(None)
        else:
            out.append(float(counts["agree"] * 2 > counts.total()))
    return out


@pytest.mark.parametrize("k", [1, 3, 5, 7, 9])
def test_the_official_count_over_k_votes_is_the_authors(k):
    generator = random.Random(k)
    kinds = [0, 0, 0, 0, 0, 0, 1, 1, 1, "unread"]
    rows = [voted(f"r{n}", generator.choices(kinds, k=10)) for n in range(300)]
    credits = grade(rows, protocol=official(k))
    assert credits == recount_as_the_authors_do(rows, k)
    assert {0.0, 1.0, None} == set(credits)


def test_without_a_number_the_official_count_takes_as_many_votes_as_all_rows_have():
    rows = [voted("r", [0, 0, 1, 1]), voted("s", [1, 1, 0])]
    assert grade(rows, protocol=official()) == grade(rows, protocol=official(3))
    with pytest.raises(ConfigError, match="num_votes"):
        grade(rows, protocol=official(2))
