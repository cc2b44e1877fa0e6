import random

import pytest

from tests.generation.making import connect, endpoint, journal_at, pair, request
from vlreward.errors import ConfigError
from vlreward.generation.budget import Budget
from vlreward.generation.client import ask
from vlreward.generation.config import IN_PROCESS
from vlreward.generation.estimate import Estimate, estimate
from vlreward.generation.scripted import Says
from vlreward.generation.verdicts import pair_requests


@pytest.fixture
def journal(tmp_path):
    with journal_at(tmp_path) as opened:
        yield opened


def tokenized(seed):
    """A model whose tokenizer is none that the estimate knows, with replies of any length."""
    rng = random.Random(seed)

    def script(call):
        return Says(
            text="ok",
            seconds=rng.uniform(1, 9),
            input_tokens=round(len(call.text) / 3.1) + 12,
            output_tokens=round(rng.lognormvariate(5, 0.5)),
        )

    return script


def judgements(number, *, words=60):
    rng = random.Random(number)
    return [
        pair(
            f"Question {number} {index}?",
            *(" ".join(rng.choices(WORDS, k=rng.randint(5, words))) for _ in range(2)),
        )
        for index in range(number)
    ]


WORDS = (
    "the ball rolls down a slope and lands after 12.5 seconds, because friction; so: x = 7".split()
)


def test_after_a_first_part_the_rest_costs_what_was_foretold_within_15_percent(journal):
    connection = connect(tokenized(1), journal, budget=Budget(100.0))
    first = pair_requests(judgements(25), connection=connection)
    rest = pair_requests(judgements(60), connection=connection)
    ask(first, connection=connection)
    spent = connection.budget.spent
    foretold = estimate([*first, *rest, *rest], endpoint=connection.endpoint, journal=journal)
    assert (foretold.num_calls, foretold.num_known, foretold.is_guess) == (120, 50, False)
    results = ask(rest, connection=connection)
    assert connection.budget.spent - spent == pytest.approx(foretold.dollars, rel=0.15)
    for name in ("input_tokens", "output_tokens"):
        actual = sum(getattr(one, name) for one in results.values())
        assert actual == pytest.approx(getattr(foretold, name), rel=0.15)


def test_without_a_journal_it_counts_by_rule_and_by_the_configured_length(journal):
    asked = endpoint(expected_output_tokens=100, max_concurrency=2)
    foretold = estimate([request("one two three")] * 3, endpoint=asked, journal=journal)
    assert foretold == Estimate(
        num_calls=1,
        num_known=0,
        input_tokens=7,
        output_tokens=100,
        dollars=pytest.approx((7 * 2 + 100 * 8) / 1e6),
        minutes=pytest.approx(3 / 60 / 2),
        is_guess=True,
    )


def test_expected_replies_are_no_longer_than_they_can_be(journal):
    asked = endpoint(expected_output_tokens=10**5)
    assert estimate([request()], endpoint=asked, journal=journal).output_tokens == 1024


def test_the_minutes_are_the_journals_time_a_call_over_the_calls_at_once(journal):
    connection = connect(lambda call: Says(text="ok", seconds=12), journal, max_concurrency=10)
    ask([request(str(number)) for number in range(10)], connection=connection)
    more = [request(str(number)) for number in range(10, 110)]
    assert estimate(more, endpoint=connection.endpoint, journal=journal).minutes == pytest.approx(2)


def test_a_model_in_this_process_answers_one_request_after_the_other(journal):
    asked = endpoint(base_url=IN_PROCESS, expected_output_tokens=100)
    requests = [request(text) for text in "ab"]
    foretold = estimate(requests, endpoint=asked, journal=journal)
    assert foretold.minutes == pytest.approx(2 * 3 / 60)


def test_a_price_that_is_not_known_is_refused(journal):
    unpriced = endpoint(
        dollars_per_million_input_tokens=None, dollars_per_million_output_tokens=None
    )
    with pytest.raises(ConfigError, match="price-unknown"):
        estimate([request()], endpoint=unpriced, journal=journal)
