"""Many calls against an endpoint that fails in every way: every row ends, and no cap is passed."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.making import (
    DOLLARS_PER_REPLY,
    connect,
    journal_at,
    picture,
    request,
    user,
)
from vlreward.errors import ConfigError, EndpointError
from vlreward.generation.budget import Budget
from vlreward.generation.client import ask
from vlreward.generation.journal import Money
from vlreward.generation.outcomes import Failure, Reply
from vlreward.generation.requests import ChatRequest
from vlreward.generation.scripted import Drops, Fails, Hangs, Says, ScriptedEndpoint, Tears
from vlreward.pictures import admit

WORST_CASE = (1024 * 8.0 + 250 * 2.0) / 1e6
"""More than a short request can cost."""
CAPS = pytest.mark.parametrize("cap", [1.0, None], ids=["cap", "no cap"])


def faulty(seed, *, refusals):
    """10 % 429, 5 % 5xx, 2 % hangs, 1 % torn JSON, and refusals to these texts."""
    rng = random.Random(seed)

    def script(call):
        if call.text in refusals:
            return Says(text=None, refusal="I will not.")
        dice = rng.random()
        if dice < 0.10:
            return Fails(status=429, headers={"retry-after": rng.choice(["0", "1", "3"])})
        if dice < 0.15:
            return Fails(status=rng.choice([500, 502, 503]))
        if dice < 0.17:
            return Hangs()
        if dice < 0.18:
            return Tears()
        return Says(text=f"answer to {call.text}", seconds=rng.uniform(0.5, 5))

    return script


def test_of_500_calls_each_ends_as_a_reply_or_set_aside_with_its_reason(tmp_path):
    refusals = {"7", "99", "250", "251", "499"}
    scripted = ScriptedEndpoint(faulty(3, refusals=refusals))
    requests = [request(str(number)) for number in range(500)]
    with journal_at(tmp_path) as journal:
        connection = connect(scripted, journal, max_attempts=4)
        results = ask(requests, connection=connection)
        again = ask(requests, connection=connection)
        assert journal.count() == 500
    assert again == results
    for number, one in enumerate(requests):
        result = results[one.key]
        if isinstance(result, Reply):
            assert result.text == f"answer to {number}"
        elif str(number) in refusals:
            assert result.reason == "refusal"
        else:
            assert (result.reason, result.attempts) in {
                (reason, 4) for reason in ("rate-limited", "server-error", "timeout", "torn-reply")
            }
    reasons = Counter(getattr(one, "reason", "reply") for one in results.values())
    assert reasons["refusal"] == 5
    assert reasons["reply"] >= 485
    attempts = sum(one.attempts for one in results.values())
    assert attempts == len(scripted.calls) > 550


def test_a_cap_is_kept_with_64_calls_at_once_and_a_larger_one_goes_on(tmp_path):
    requests = [request(str(number)) for number in range(150)]
    cap = 60 * DOLLARS_PER_REPLY
    with journal_at(tmp_path) as journal:
        scripted = ScriptedEndpoint(lambda call: Says(text="ok", seconds=1))
        budget = Budget(cap)
        first = ask(requests, connection=connect(scripted, journal, budget=budget))
        replies = [one for one in first.values() if isinstance(one, Reply)]
        rest = [one for one in first.values() if not isinstance(one, Reply)]
        assert {one.reason for one in rest} == {"budget"}
        assert len(first) == 150
        assert cap - WORST_CASE < journal.money().total <= cap
        assert len(replies) == journal.count() == len(scripted.calls)

        larger = Budget(1.0, spent=journal.money().total)
        second = ask(requests, connection=connect(scripted, journal, budget=larger))
        assert all(isinstance(one, Reply) for one in second.values())
        assert len(scripted.calls) == 150
        assert larger.spent == pytest.approx(150 * DOLLARS_PER_REPLY)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32),
    cap=st.none() | st.floats(0, 40 * WORST_CASE),
    num_requests=st.integers(1, 80),
)
def test_no_cap_is_ever_passed_whatever_fails(tmp_path_factory, seed, cap, num_requests):
    """Calls that died after being sent count in full: the provider may have billed them.

    They count without a cap too, for that of a later run.
    """
    rng = random.Random(seed)
    billed = 0.0
    acts = [Fails(status=429), Fails(status=500), Hangs(), Tears(), Drops(sent=True)]

    def script(call):
        nonlocal billed
        if rng.random() < 0.5:
            act = rng.choice(acts)
            if not isinstance(act, Fails) or act.status != 429:
                billed += 1024 * 8e-6
            return act
        tokens = rng.randint(1, 1024)
        billed += 100 * 2e-6 + tokens * 8e-6
        return Says(text="ok", seconds=rng.uniform(0, 9), output_tokens=tokens)

    folder = tmp_path_factory.mktemp("journal")
    with journal_at(folder) as journal:
        budget = Budget(cap)
        requests = [request(str(number)) for number in range(num_requests)]
        results = ask(
            requests,
            connection=connect(script, journal, budget=budget, timeout_seconds=5, max_attempts=6),
        )
        assert len(results) == num_requests
        assert billed <= budget.spent + 1e-9
        assert cap is None or budget.spent <= cap + 1e-9
        assert journal.money().total == pytest.approx(budget.spent)


@CAPS
@pytest.mark.parametrize(
    ("act", "may_be_billed"),
    [
        (Fails(status=429), False),
        *((Fails(status=status), False) for status in (408, 409, 422, 425, 503)),
        (Drops(sent=False), False),
        (Drops(sent=True), True),
        (Fails(status=500), True),
        (Hangs(), True),
        (Tears(), True),
    ],
)
def test_a_call_without_a_reply_counts_in_full_where_it_may_have_been_billed(
    tmp_path, act, may_be_billed, cap
):
    with journal_at(tmp_path) as journal:
        budget = Budget(cap)
        ask(
            [request()],
            connection=connect(lambda call: act, journal, budget=budget, max_attempts=1),
        )
        assert (budget.spent > 1024 * 8e-6) == may_be_billed
        assert budget.spent in (0.0, journal.money().maybe_billed)


@CAPS
def test_a_reply_without_counted_tokens_costs_its_worst_case(tmp_path, cap):
    silent = Says(text="ok", input_tokens=None)
    with journal_at(tmp_path) as journal:
        budget = Budget(cap)
        ask([request()], connection=connect(lambda call: silent, journal, budget=budget))
        assert 1024 * 8e-6 < budget.spent == journal.money().billed < WORST_CASE


@pytest.mark.parametrize("act", [Says(text="ok", input_tokens=None), Hangs()])
def test_a_cap_counts_what_earlier_starts_without_one_may_have_cost(tmp_path, act):
    requests = [request(str(number)) for number in range(40)]
    with journal_at(tmp_path) as journal:
        ask(requests[:6], connection=connect(lambda call: act, journal, max_attempts=1))
        scripted = ScriptedEndpoint(lambda call: Says(text="ok"))
        budget = Budget(7 * WORST_CASE, spent=journal.money().total)
        results = ask(requests[6:], connection=connect(scripted, journal, budget=budget))
        assert 0 < len(scripted.calls) < 10
        assert {one.reason for one in results.values() if isinstance(one, Failure)} == {"budget"}


@pytest.mark.parametrize(
    ("act", "dollars"),
    [
        (Says(text="ok"), pytest.approx(DOLLARS_PER_REPLY)),
        (Says(text="ok", input_tokens=None), None),
        (Hangs(), None),
    ],
)
def test_without_a_cap_pictures_of_unknown_price_are_asked_about_and_never_said_to_be_free(
    tmp_path, act, dollars
):
    shown = ChatRequest(messages=(user(picture()),), model="scripted", max_output_tokens=5)
    with journal_at(tmp_path) as journal:
        connection = connect(lambda call: act, journal, max_attempts=1)
        (result,) = ask([shown], connection=connection).values()
        assert result.dollars == dollars
        assert journal.money() == Money(result.dollars or 0.0, 0.0)


def test_a_call_dearer_than_its_worst_case_stops_a_capped_run_and_is_kept(tmp_path):
    def script(call):
        return Says(text="ok", output_tokens=5000)

    requests = [request(str(number)) for number in range(50)]
    with journal_at(tmp_path) as journal:
        connection = connect(script, journal, budget=Budget(1.0), max_concurrency=2)
        with pytest.raises(ConfigError, match="worst-case-exceeded"):
            ask(requests, connection=connection)
        assert 1 <= journal.count() <= 2
        assert len(ask(requests, connection=connect(script, journal))) == 50


@pytest.mark.parametrize("fault", [Fails(status=503), Tears(), Drops(sent=False)])
def test_an_endpoint_that_is_down_stops_the_run_and_is_asked_again_by_the_next(tmp_path, fault):
    requests = [request(str(number)) for number in range(40)]
    with journal_at(tmp_path) as journal:
        first_ten = [str(number) for number in range(10)]
        down = ScriptedEndpoint(lambda call: Says(text="yes") if call.text in first_ten else fault)
        with pytest.raises(EndpointError, match="in a row without a reply") as caught:
            ask(requests, connection=connect(down, journal, max_attempts=2, max_concurrency=4))
        assert caught.value.code == "endpoint-down" and journal.count() == 10
        up = ScriptedEndpoint(lambda call: Says(text="yes"))
        results = ask(requests, connection=connect(up, journal))
        assert len(up.calls) == 30 and all(isinstance(one, Reply) for one in results.values())


def test_an_endpoint_that_answers_others_is_not_down(tmp_path):
    def script(call):
        return Fails(status=500) if call.text.isdigit() else Says(text="yes")

    requests = [request(str(number)) for number in range(40)]
    with journal_at(tmp_path) as journal:
        endpoint = ScriptedEndpoint(script)
        results = ask(requests, connection=connect(endpoint, journal, max_attempts=1)).values()
        assert len(results) == 40 and not any(isinstance(one, Reply) for one in results)
        assert sum(not call.text.isdigit() for call in endpoint.calls) == 5
        assert journal.count() == 40 + 5
        with pytest.raises(EndpointError, match="endpoint-down"):
            ask(
                [request(str(number)) for number in range(1000, 1040)],
                connection=connect(script, journal, max_attempts=1, needs_replies=True),
            )


def test_what_got_no_reply_before_a_kill_is_asked_again(tmp_path):
    def script(call):
        if call.text == "3":
            raise KeyboardInterrupt
        return Fails(status=503)

    with journal_at(tmp_path) as journal:
        requests = [request(str(number)) for number in range(8)]
        with pytest.raises(KeyboardInterrupt):
            ask(requests, connection=connect(script, journal, max_attempts=1, max_concurrency=1))
        assert journal.count() == 0


def test_an_outage_leaves_what_earlier_runs_set_aside(tmp_path):
    first, second = request("first"), [request(str(number)) for number in range(40)]
    with journal_at(tmp_path) as journal:
        down = ScriptedEndpoint(lambda call: Fails(status=503))
        connection = connect(down, journal, max_attempts=1)
        set_aside = ask([first], connection=connection)[first.key]
        with pytest.raises(EndpointError, match="in a row without a reply"):
            ask(second, connection=connection)
        assert journal.find(first.key) == set_aside
        assert journal.count() == 1


def test_a_few_failures_among_replies_are_those_of_their_requests(tmp_path):
    requests = [request(str(number)) for number in range(40)]
    with journal_at(tmp_path) as journal:
        picky = ScriptedEndpoint(
            lambda call: Fails(status=503) if int(call.text) % 5 == 0 else Says(text="yes")
        )
        connection = connect(picky, journal, max_attempts=2, max_concurrency=4)
        results = ask(requests, connection=connection)
    assert Counter(isinstance(one, Reply) for one in results.values()) == {True: 32, False: 8}


@pytest.mark.parametrize(
    "answer",
    [Fails(status=400), Fails(status=400, code="content_filter"), Says(text=None)],
    ids=["rejected", "refusal", "empty"],
)
def test_an_answer_of_any_sort_ends_a_row_of_failures(tmp_path, answer):
    requests = [request(str(number)) for number in range(40)]
    with journal_at(tmp_path) as journal:
        picky = ScriptedEndpoint(
            lambda call: answer if int(call.text) % 5 == 0 else Fails(status=503)
        )
        connection = connect(picky, journal, max_attempts=1, max_concurrency=1)
        results = ask(requests, connection=connection)
        assert journal.count() == len(results) == 40


def test_a_picture_that_went_away_says_nothing_of_an_endpoint_that_is_down(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(picture().data)
    lost = admit(path)
    path.unlink()
    contents = [one for number in range(8) for one in ((str(number),), (str(number), lost))]
    mixed = [
        ChatRequest(messages=(user(*one),), model="m", max_output_tokens=5) for one in contents
    ]
    with journal_at(tmp_path) as journal:
        connection = connect(
            lambda call: Fails(status=503), journal, max_attempts=1, max_concurrency=1
        )
        with pytest.raises(EndpointError, match="8 requests in a row"):
            ask(mixed, connection=connection)


def test_a_run_that_needs_replies_asks_all_and_then_says_which_are_missing(tmp_path):
    requests = [request(str(number)) for number in range(40)]

    def flaky(call):
        if call.text == "7":
            return Fails(status=400)
        return Fails(status=503) if int(call.text) % 5 == 0 else Says(text="yes")

    with journal_at(tmp_path) as journal:
        settings = {"max_attempts": 2, "max_concurrency": 4, "needs_replies": True}
        with pytest.raises(EndpointError, match="8 requests without a reply: 8 server-err") as told:
            ask(requests, connection=connect(ScriptedEndpoint(flaky), journal, **settings))
        assert told.value.code == "endpoint-unanswered" and journal.count() == 32
        up = ScriptedEndpoint(lambda call: Says(text="yes"))
        results = ask(requests, connection=connect(up, journal, **settings))
    assert len(up.calls) == 8, "what was refused for good is not asked again"
    assert sum(isinstance(one, Reply) for one in results.values()) == 39
