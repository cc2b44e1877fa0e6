import json
import statistics

import pytest

from tests.evaluation.scorers.making import opened, reward_folder, rows, values
from tests.support import tiny
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.outcomes import Vote
from vlreward.evaluation.scorers.config import (
    EnsembleConfig,
    JudgeConfig,
    ScorerConfig,
    WeightsConfig,
)
from vlreward.evaluation.scorers.ensembles import EnsembleScorer, Jury, Scale
from vlreward.evaluation.scorers.protocols import Ballot, PatientScorer, VotingJudge, raising
from vlreward.interfaces import Verdict
from vlreward.records import Score


class Fixed:
    """Gives each response the number that stands in its text, times a factor; `x` is no number."""

    def __init__(self, factor):
        self.factor = factor

    def score_many(self, comparisons):
        return raising(self.score_each(comparisons))

    def score_each(self, comparisons):
        for _, responses in comparisons:
            if any(one.text == "x" for one in responses):
                yield DataError("no-number", value="x", place="row", expected="one", mend="Do.")
            else:
                yield [
                    Score(value=self.factor * float(one.text), num_tokens=int(self.factor))
                    for one in responses
                ]


class Biased:
    """Always for the same answer; None has no ballot."""

    def __init__(self, winner):
        self.winner = winner

    def judge(self, prompt, first, second):
        raise NotImplementedError

    def vote_each(self, duels, *, progress=None):
        if self.winner is None:
            return [DataError("gone", value="", place="", expected="", mend="")] * len(duels)
        return [Ballot((Vote(False, self.winner),), seconds=1.0)] * len(duels)


ASK = tiny.prompt("?")
ANSWERS = [tiny.response("2"), tiny.response("-4")]


@pytest.mark.parametrize(
    ("combine", "expected"),
    [("mean", [4.0, -8.0]), ("worst", [2.0, -12.0]), ("mean-minus-variance", [3.0, -12.0])],
)
def test_scores_are_combined(combine, expected):
    scorer = EnsembleScorer(
        members=(Fixed(1), Fixed(3)),
        scales=(Scale(), Scale()),
        combine=combine,
        variance_weight=0.25,
    )
    assert isinstance(scorer, PatientScorer)
    [scores] = scorer.score_many([(ASK, ANSWERS)])
    assert values(scores) == pytest.approx(expected)
    assert [one.num_tokens for one in scores] == [3, 3]


def test_members_are_put_on_one_scale():
    scorer = EnsembleScorer(members=(Fixed(1), Fixed(10)), scales=(Scale(), Scale(10.0, 5.0)))
    [scores] = scorer.score_many([(ASK, ANSWERS)])
    assert values(scores) == [(2 + 2) / 2, (-4 - 10) / 2]


def test_a_row_that_one_member_cannot_score_fails_alone():
    scorer = EnsembleScorer(members=(Fixed(1), Fixed(2)), scales=(Scale(), Scale()))
    first, second = scorer.score_each([(ASK, [tiny.response("x")]), (ASK, ANSWERS)])
    assert isinstance(first, DataError) and values(second) == [3.0, -6.0]


def test_a_jury_counts_all_votes_together():
    jury = Jury(members=(Biased(0), Biased(1), Biased(0)))
    assert isinstance(jury, VotingJudge)
    [ballot] = jury.vote_each([(ASK, *ANSWERS)])
    assert [vote.winner for vote in ballot.votes] == [0, 1, 0]
    assert (ballot.seconds, ballot.dollars) == (3.0, None)
    assert jury.judge(ASK, *ANSWERS) == Verdict(better="first", confidence=2 / 3)
    [failed] = Jury(members=(Biased(0), Biased(None))).vote_each([(ASK, *ANSWERS)])
    assert isinstance(failed, DataError)


def ensemble(*members, **settings):
    return ScorerConfig(ensemble=EnsembleConfig(members=members, **settings))


def test_real_members_are_averaged_on_the_scale_of_their_training(tmp_path):
    folders = [reward_folder(tmp_path / kind, kind) for kind in ("qwen2", "llama")]
    members = [ScorerConfig(reward_model=WeightsConfig(path=str(one))) for one in folders]
    given = rows(2, pictures=False)
    alone = [list(map(values, opened(member).score_many(given))) for member in members]
    together = list(map(values, opened(ensemble(*members)).score_many(given)))
    for row, found in enumerate(together):
        expected = map(statistics.fmean, zip(*(one[row] for one in alone), strict=True))
        assert found == pytest.approx(list(expected))
    with pytest.raises(ConfigError, match="scale-unknown"):
        opened(ensemble(*members, standardise=True))
    for folder in folders:
        (folder / "vlreward.json").write_text(
            json.dumps({"reward_mean": 1.0, "reward_std": 2.0}), encoding="utf-8"
        )
    scaled = list(map(values, opened(ensemble(*members, standardise=True)).score_many(given)))
    for plain, found in zip(together, scaled, strict=True):
        assert found == pytest.approx([(value - 1.0) / 2.0 for value in plain])


def test_scorers_and_judges_do_not_mix(tmp_path):
    base = tiny.write_base_model(tmp_path / "base", "qwen2")
    judge = JudgeConfig(local=WeightsConfig(path=str(base)), max_new_tokens=2)
    rater = JudgeConfig(local=WeightsConfig(path=str(base)), max_new_tokens=2, ask="rating")
    with pytest.raises(ConfigError, match="ensemble-mixed"):
        opened(ensemble(ScorerConfig(judge=judge), ScorerConfig(judge=rater)))
    jury = opened(ensemble(ScorerConfig(judge=judge), ScorerConfig(judge=judge)))
    [ballot] = jury.vote_each([(ASK, *ANSWERS)])
    assert len(ballot.votes) == 4
