import itertools

import pytest

from tests.evaluation.scorers.making import example, rows
from tests.support import tiny
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.assessing import assess
from vlreward.evaluation.outcomes import Vote
from vlreward.evaluation.scorers.protocols import Ballot, PatientScorer, raising
from vlreward.interfaces import Verdict
from vlreward.records import Score


def broken(code):
    return DataError(code, value="?", place="row", expected="!", mend="Mend it.")


class Lengths:
    """Scores by the length of the text; the word `broken` cannot be scored."""

    def score_many(self, comparisons):
        return raising(self.score_each(comparisons))

    def score_each(self, comparisons):
        for _, responses in comparisons:
            if any(response.text == "broken" for response in responses):
                yield broken("row-broken")
            else:
                yield [Score(value=float(len(one.text)), num_tokens=1) for one in responses]


class Hasty(PatientScorer):
    """Reads three letters of an answer."""

    def score_each(self, comparisons):
        for _, responses in comparisons:
            yield [
                Score(value=1.0, num_tokens=3, truncated_tokens=max(0, len(one.text) - 3))
                for one in responses
            ]


class Longer:
    """Votes for the longer answer, in both orders."""

    def judge(self, prompt, first, second):
        return Verdict(better="first", confidence=1.0)

    def vote_each(self, duels, *, progress=None):
        return [
            broken("no-answer-timeout")
            if "broken" in (first.text, second.text)
            else Ballot((Vote(False, int(len(second.text) > len(first.text))),), 2.0, 0.5)
            for _, first, second in duels
        ]


@pytest.fixture
def examples():
    ask = tiny.prompt("Which?")
    short, long, bad = (tiny.response(text) for text in ("a", "abc", "broken"))
    return [
        example("short", ask, long, short),
        example("bad", ask, bad, short),
        example("many", ask, short, long, short, right=(1,)),
        example("last", ask, short, long),
    ]


def test_a_scorer_leaves_scores_and_failures_in_the_order_of_the_rows(examples):
    ticks = itertools.count()
    noted = []
    found = list(
        assess(
            examples,
            Lengths(),
            progress=lambda note="": noted.append(note),
            clock=lambda: float(next(ticks)),
        )
    )
    assert [one.id for one in found] == ["short", "bad", "many", "last"]
    assert [one.scores for one in found] == [(3.0, 1.0), (), (1.0, 3.0, 1.0), (1.0, 3.0)]
    assert [one.failure for one in found] == [None, "row-broken", None, None]
    assert [one.seconds for one in found] == [0.25] * 4 and len(noted) == 4


def test_answers_that_were_not_read_whole_are_counted(examples):
    found = list(assess(examples, Hasty()))
    assert [one.num_truncated for one in found] == [0, 1, 0, 0]


def test_a_judge_leaves_votes_and_does_not_choose_among_many(examples):
    found = list(assess(examples, Longer()))
    assert [one.votes for one in found] == [(Vote(False, 0),), (), (), (Vote(False, 1),)]
    assert [one.failure for one in found] == [None, "no-answer-timeout", "judge-wants-two", None]
    assert (found[0].seconds, found[0].dollars) == (2.0, 0.5)


def test_more_rows_than_a_window_are_all_scored():
    found = list(
        assess(
            [example(str(i), p, *r) for i, (p, r) in enumerate(rows(65, pictures=False))], Lengths()
        )
    )
    assert [one.id for one in found] == [str(index) for index in range(65)]


def test_what_neither_scores_nor_votes_is_refused(examples):
    with pytest.raises(ConfigError, match="not-a-scorer"):
        list(assess(examples, object()))
