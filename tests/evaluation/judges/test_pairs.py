import pytest

from tests.evaluation.judges.making import WORDINGS, duel, prefers, seen_hashes
from tests.generation.making import connect, journal_at, picture, verdict
from vlreward.errors import DataError, VlrewardError
from vlreward.evaluation.judges.forms import FORMS
from vlreward.evaluation.judges.pairs import PairJudge, verdict_of
from vlreward.evaluation.judges.respondents import ApiRespondent
from vlreward.evaluation.outcomes import Vote
from vlreward.evaluation.scorers.protocols import Ballot, VotingJudge
from vlreward.generation.budget import Budget
from vlreward.generation.scripted import Fails, Says, ScriptedEndpoint
from vlreward.interfaces import Judge, Verdict


@pytest.fixture
def journal(tmp_path):
    with journal_at(tmp_path) as opened:
        yield opened


def make_judge(script, journal, *, form="json", endpoint=None, **settings):
    return PairJudge(
        respondent=ApiRespondent(connection=connect(script, journal, **(endpoint or {}))),
        form=FORMS[form],
        template=FORMS[form].load_template(None),
        **settings,
    )


def swaps(judge, *duels):
    return [[vote.swapped for vote in ballot.votes] for ballot in judge.vote_each(duels)]


@pytest.mark.parametrize("form", list(FORMS))
def test_a_judge_names_the_same_winner_in_both_orders(form, journal):
    judge: Judge = make_judge(prefers("Right", form=form), journal, form=form)
    assert isinstance(judge, VotingJudge)
    [ballot] = judge.vote_each([duel()])
    assert ballot.votes == (Vote(False, 1), Vote(True, 1))
    assert judge.judge(*duel()) == Verdict(better="second", confidence=1.0)


def test_a_judge_that_prefers_a_position_is_undecided(journal):
    judge = make_judge(lambda call: Says(text=verdict("first")), journal, num_votes=2)
    [ballot] = judge.vote_each([duel()])
    assert ballot.votes == (Vote(False, 0), Vote(False, 0), Vote(True, 1), Vote(True, 1))
    assert judge.judge(*duel()) == Verdict(better="equal", confidence=0.0)


def test_a_random_order_comes_of_the_seed_and_the_pair_alone(journal):
    duels = [duel(question=f"Which, {number}?") for number in range(12)]
    drawn = {
        seed: swaps(
            make_judge(prefers("Left"), journal, order="random", num_votes=3, seed=seed), *duels
        )
        for seed in (0, 1)
    }
    flat = [swapped for row in drawn[0] for swapped in row]
    assert 8 < sum(flat) < 28
    assert drawn[0] != drawn[1]
    again = make_judge(prefers("Left"), journal, order="random", num_votes=3)
    assert swaps(again, *duels[::-1]) == drawn[0][::-1]


@pytest.mark.parametrize(
    ("order", "second", "expected"),
    [("length-parity", "odd", False), ("length-parity", "even", True), ("given", "even", False)],
)
def test_an_order_by_length_swaps_where_the_sum_is_odd(order, second, expected, journal):
    judge = make_judge(prefers("odd"), journal, order=order)
    assert swaps(judge, duel("odd", second)) == [[expected]]


def test_the_pictures_reach_the_judge_whole_and_in_order(journal):
    one, other, third = picture(8), picture(16), picture(24)
    asked = duel(question=("Compare ", one, " with ", other))
    asked = (*asked[:2], type(asked[1])(content=("See ", third)))
    for form in FORMS:
        endpoint = ScriptedEndpoint(lambda call, form=form: Says(text=WORDINGS[form]["first"]))
        make_judge(endpoint, journal, form=form, order="given").vote_each([asked])
        [call] = endpoint.calls
        wanted = [third, one, other] if FORMS[form].pictures_last else [one, other, third]
        assert seen_hashes(call) == [found.sha256 for found in wanted]


def test_what_cannot_be_read_is_a_vote_with_its_failure(journal):
    said = iter(["I cannot say.", None])

    def script(call):
        text = next(said)
        return Says(text=text) if text else Says(text="", refusal="No.")

    [ballot] = make_judge(script, journal).vote_each([duel()])
    failures = [vote.failure for vote in ballot.votes]
    assert failures == ["verdict-unreadable", "refusal"]
    with pytest.raises(DataError, match="no-readable-vote"):
        verdict_of(ballot)


def test_a_judge_that_only_thinks_says_nothing(journal):
    thought = f"<think>{verdict('first')}"
    [ballot] = make_judge(lambda call: Says(text=thought), journal).vote_each([duel()])
    assert {vote.failure for vote in ballot.votes} == {"verdict-unreadable"}


def test_a_pair_without_a_reply_fails_and_harms_no_other(journal):
    def script(call):
        return Fails(status=400) if "broken" in call.text else Says(text=verdict("first"))

    first, second = make_judge(script, journal, order="given").vote_each(
        [duel(question="A broken one?"), duel()]
    )
    assert isinstance(first, VlrewardError) and first.code == "no-answer-rejected"
    assert second.votes == (Vote(False, 0),)


def test_money_that_ran_out_fails_the_rest_and_a_later_run_asks_only_for_that(journal):
    duels = [duel(question=f"Which, {number}?") for number in range(3)]
    endpoint = ScriptedEndpoint(lambda call: Says(text=verdict("first"), output_tokens=1000))
    poor = {"budget": Budget(0.02), "max_concurrency": 1}
    first = make_judge(endpoint, journal, order="given", endpoint=poor).vote_each(duels)
    failed = [one.code for one in first if isinstance(one, VlrewardError)]
    assert failed and set(failed) == {"no-answer-budget"} and len(failed) < 3
    second = make_judge(endpoint, journal, order="given").vote_each(duels)
    assert [ballot.votes for ballot in second] == [(Vote(False, 0),)] * 3
    assert len(endpoint.calls) == 3


def test_the_same_questions_are_asked_once(journal):
    endpoint = ScriptedEndpoint(prefers("Left"))
    first = make_judge(endpoint, journal, num_votes=2).vote_each([duel()])
    assert make_judge(endpoint, journal, num_votes=2).vote_each([duel()]) == first
    assert len(endpoint.calls) == 4
    [ballot] = first
    assert ballot.dollars == pytest.approx(4 * 360e-6) and ballot.seconds is not None


@pytest.mark.parametrize(
    ("winners", "expected"),
    [
        ([0, 0, 1], Verdict(better="first", confidence=2 / 3)),
        ([1, None], Verdict(better="equal", confidence=0.5)),
        ([1, 1, None], Verdict(better="second", confidence=2 / 3)),
    ],
)
def test_a_verdict_is_what_more_than_half_of_the_votes_say(winners, expected):
    votes = tuple(Vote(False, winner) for winner in winners)
    assert verdict_of(Ballot((*votes, Vote(False, None, "empty")))) == expected


def test_top_p_is_sent_where_it_is_set_and_tells_requests_apart(journal):
    endpoint = ScriptedEndpoint(prefers("Left"))
    make_judge(endpoint, journal, order="given", endpoint={"top_p": 0.2}).vote_each([duel()])
    make_judge(endpoint, journal, order="given").vote_each([duel()])
    assert [call.body.get("top_p") for call in endpoint.calls] == [0.2, None]
