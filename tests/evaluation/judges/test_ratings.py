import json

import pytest

from tests.evaluation.judges.making import duel, seen_hashes, shown
from tests.generation.making import connect, journal_at, picture
from vlreward.errors import DataError, VlrewardError
from vlreward.evaluation.judges.ratings import RatingScorer
from vlreward.evaluation.judges.respondents import ApiRespondent
from vlreward.evaluation.scorers.protocols import PatientScorer, VotingJudge
from vlreward.generation.scripted import Fails, Says, ScriptedEndpoint
from vlreward.generation.templates import load_template
from vlreward.interfaces import Judge, Scorer, Verdict


@pytest.fixture
def journal(tmp_path):
    with journal_at(tmp_path) as opened:
        yield opened


def make_scorer(script, journal, **settings):
    return RatingScorer(
        respondent=ApiRespondent(connection=connect(script, journal)),
        template=load_template("judge-rating"),
        **settings,
    )


def by_length(call):
    return rating(min(10, len(shown(call, "answer"))))


def rating(value):
    return Says(text=json.dumps({"reason": "as it is", "rating": value}))


def values(scores):
    return [score.value for score in scores]


def test_each_answer_gets_its_rating_and_the_higher_one_wins(journal):
    scorer = make_scorer(by_length, journal)
    as_scorer: Scorer = scorer
    as_judge: Judge = scorer
    assert isinstance(scorer, PatientScorer) and not isinstance(scorer, VotingJudge)
    asked, first, second = duel("Left.", "Up.")
    [scores] = as_scorer.score_many([(asked, [first, second, first])])
    assert values(scores) == [5.0, 3.0, 5.0]
    assert as_judge.judge(asked, first, second) == Verdict(better="first", confidence=0.5 + 1 / 9)
    assert as_judge.judge(asked, first, first).better == "equal"


def test_a_score_is_the_mean_of_the_ratings_that_can_be_read(journal):
    said = iter([rating(4), rating(9), Says(text="Fine, I think.")])
    scorer = make_scorer(lambda call: next(said), journal, num_votes=3)
    asked, first, _ = duel()
    [scores] = scorer.score_many([(asked, [first])])
    assert values(scores) == [6.5]


def test_an_answer_without_a_rating_fails_its_row_alone(journal):
    def script(call):
        text = shown(call, "answer")
        return (
            Fails(status=400) if text == "bad" else Says(text="?") if text == "odd" else rating(7)
        )

    duels = [duel("bad", "good"), duel("good", "odd"), duel("good", "well")]
    results = list(make_scorer(script, journal).score_each((p, [a, b]) for p, a, b in duels))
    codes = [one.code for one in results if isinstance(one, VlrewardError)]
    assert codes == ["no-answer-rejected", "rating-unreadable"]
    assert values(results[2]) == [7.0, 7.0]
    with pytest.raises(DataError, match="rating-unreadable"):
        make_scorer(script, journal).judge(*duels[1])


def test_the_pictures_reach_the_rater(journal):
    endpoint = ScriptedEndpoint(lambda call: rating(5))
    one = picture(16)
    asked, first, _ = duel(question=(one, "What is it?"))
    list(make_scorer(endpoint, journal).score_many([(asked, [first])]))
    assert [seen_hashes(call) for call in endpoint.calls] == [[one.sha256]]
