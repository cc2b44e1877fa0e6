"""What becomes of single requests, and of runs that stop; the mass of faults is in test_faults."""

import asyncio
import logging
import signal
import subprocess
import sys
import traceback
from contextlib import aclosing
from email.utils import formatdate
from itertools import cycle
from pathlib import Path

import pytest

from tests.generation.making import (
    DOLLARS_PER_REPLY,
    connect,
    journal_at,
    picture,
    request,
    user,
)
from vlreward.errors import ConfigError, EndpointError, MissingExtraError
from vlreward.generation import client
from vlreward.generation.budget import Budget
from vlreward.generation.client import ask, ask_all
from vlreward.generation.outcomes import Failure, Reply
from vlreward.generation.requests import ChatRequest
from vlreward.generation.scripted import Drops, Fails, Hangs, Says, ScriptedEndpoint, Tears
from vlreward.generation.virtual_time import VirtualTimeLoop
from vlreward.pictures import admit

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def journal(tmp_path):
    with journal_at(tmp_path) as opened:
        yield opened


def in_turn(*acts):
    """A script that does one thing after the other, for each request anew, and then the last."""
    return lambda call: acts[min(call.nth, len(acts) - 1)]


def ask_one(script, journal, *, asked=None, **settings):
    """What became of one request, and the endpoint that was asked."""
    scripted = ScriptedEndpoint(script)
    one = asked or request()
    (result,) = ask([one], connection=connect(scripted, journal, **settings)).values()
    return result, scripted


def test_a_reply_keeps_all_that_the_endpoint_said(journal):
    says = Says(
        text="A square.", finish_reason="length", reasoning="Four sides.", model="m-7", seconds=3
    )
    result, _ = ask_one(lambda call: says, journal, clock=lambda: 1_800_000_000.0)
    assert result == Reply(
        text="A square.",
        finish_reason="length",
        model="m-7",
        input_tokens=100,
        output_tokens=20,
        dollars=pytest.approx(DOLLARS_PER_REPLY),
        attempts=1,
        seconds=3.0,
        time=1_800_000_000.0,
        reasoning="Four sides.",
    )
    assert result.is_cut
    assert journal.find(request().key) == result


def test_what_is_sent_is_the_request_and_its_settings(journal):
    one = ChatRequest(
        messages=(user("What?"),),
        model="m",
        max_output_tokens=9,
        temperature=0.5,
        json_schema={"type": "object"},
    )
    _, scripted = ask_one(
        lambda call: Says(text="x"), journal, asked=one, output_limit_field="max_completion_tokens"
    )
    (call,) = scripted.calls
    assert call.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "What?"}],
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": {"type": "object"}},
        },
    }


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Says(text=None, refusal="I will not."), "refusal"),
        (Says(text="half an ans", finish_reason="content_filter"), "refusal"),
        (Fails(status=400, code="content_filter"), "refusal"),
        (Says(text=None), "empty"),
        (Says(text=" \n", finish_reason="length"), "empty"),
        (Fails(status=400, message="too long"), "rejected"),
        (Fails(status=413), "rejected"),
        (Fails(status=422), "rejected"),
    ],
)
def test_what_would_fail_again_is_asked_once_and_set_aside_for_good(journal, act, reason):
    result, scripted = ask_one(lambda call: act, journal)
    assert (result.reason, result.attempts, len(scripted.calls)) == (reason, 1, 1)
    again, scripted = ask_one(lambda call: Says(text="x"), journal)
    assert (again, scripted.calls) == (result, [])


def test_the_reason_in_words_is_what_the_endpoint_said(journal):
    result, _ = ask_one(lambda call: Fails(status=400, message="the picture is too wide"), journal)
    assert "the picture is too wide" in result.detail


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Fails(status=429), "rate-limited"),
        *((Fails(status=status), "server-error") for status in (408, 409, 425, 500, 503)),
        (Hangs(), "timeout"),
        (Tears(), "torn-reply"),
        (Tears(body=b""), "torn-reply"),
        (Tears(body=b'{"error": {"message": "upstream"}}'), "torn-reply"),
        (Tears(body=b'{"choices": []}'), "torn-reply"),
        (Tears(body=b'{"choices": [{"message": {"content": "\\ud800"}}]}'), "torn-reply"),
        (Tears(body=b"<html>502</html>"), "torn-reply"),
        (Drops(sent=True), "connection"),
        (Drops(sent=False), "connection"),
    ],
)
def test_what_may_pass_is_tried_again_and_set_aside_after_the_last_attempt(journal, act, reason):
    result, scripted = ask_one(in_turn(act, act, Says(text="ok")), journal)
    assert (result.text, result.attempts, len(scripted.calls)) == ("ok", 3, 3)
    result, scripted = ask_one(lambda call: act, journal, asked=request("other"), max_attempts=4)
    assert (result.reason, result.attempts, len(scripted.calls)) == (reason, 4, 4)


def test_a_hang_is_cut_by_the_timeout(journal):
    _, scripted = ask_one(in_turn(Hangs(), Says(text="ok")), journal, timeout_seconds=40)
    first, second = (call.time for call in scripted.calls)
    assert 40.5 <= second - first <= 41


def test_what_holds_requests_up_is_told_now_and_then(journal):
    told = []
    asked = [request(f"q{n}") for n in range(3)]
    connection = connect(
        ScriptedEndpoint(in_turn(Hangs(), Hangs(), Says(text="ok"))),
        journal,
        timeout_seconds=40,
        max_attempts=5,
        tell=told.append,
    )
    assert len(ask(asked, connection=connection)) == 3
    silence, first, second = told
    assert "no reply for 30 s, calls out: 3; each is given up after 40 s" in silence
    assert "no whole answer in 40 s" in first and "1 of 5 times tried" in first
    assert "2 of 5 times tried" in second


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(journal, status, form):
    now = 1_800_000_000.0
    value = "90" if form == "seconds" else formatdate(now + 90, usegmt=True)
    act = Fails(status=status, headers={"Retry-After": value})
    _, scripted = ask_one(in_turn(act, Says(text="ok")), journal, clock=lambda: now)
    first, second = (call.time for call in scripted.calls)
    assert 90 <= second - first < 91


def test_an_endpoint_that_asks_for_a_very_long_pause_is_not_asked_again(journal):
    act = Fails(status=429, headers={"Retry-After": "86400"})
    result, scripted = ask_one(lambda call: act, journal)
    assert (result.reason, len(scripted.calls)) == ("rate-limited", 1)


@pytest.mark.parametrize(
    "act",
    [
        *(Fails(status=status) for status in (401, 402, 403, 404)),
        Fails(status=429, code="insufficient_quota"),
    ],
)
def test_a_wrong_key_or_model_stops_the_whole_run_and_sets_nothing_aside(journal, act):
    scripted = ScriptedEndpoint(lambda call: act)
    requests = [request(str(number)) for number in range(200)]
    with pytest.raises(EndpointError, match="endpoint-refused"):
        ask(requests, connection=connect(scripted, journal, max_concurrency=8))
    assert len(scripted.calls) <= 8
    assert journal.count() == 0


def test_equal_requests_are_asked_once_and_known_ones_never_again(journal):
    scripted = ScriptedEndpoint(lambda call: Says(text=call.text))
    connection = connect(scripted, journal)
    requests = [request(text) for text in ("a", "b", "a", "a")]
    first = ask(requests, connection=connection)
    assert {one.text for one in first.values()} == {"a", "b"}
    assert len(scripted.calls) == 2
    assert ask([*requests, request("c")], connection=connection).items() > first.items()
    assert [call.text for call in scripted.calls][2:] == ["c"]


def test_outcomes_come_in_order_of_arrival_with_their_keys(journal):
    seconds = {"slow": 9.0, "quick": 1.0, "middle": 5.0}
    connection = connect(lambda call: Says(text="ok", seconds=seconds[call.text]), journal)
    requests = {request(text).key: text for text in seconds}

    async def keys():
        asked = [request(text) for text in seconds]
        return [requests[one.key] async for one in ask_all(asked, connection=connection)]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(keys()) == ["quick", "middle", "slow"]


def test_calls_run_at_once_up_to_the_limit_and_requests_are_taken_as_they_are_needed(journal):
    scripted = ScriptedEndpoint(lambda call: Says(text="ok", seconds=1))
    taken = []

    def requests():
        for number in range(50):
            taken.append(number)
            assert len(taken) - len(scripted.calls) <= 10
            yield request(str(number))

    ask(requests(), connection=connect(scripted, journal, max_concurrency=10))
    assert (scripted.most_in_flight, len(scripted.calls)) == (10, 50)
    assert scripted.calls[-1].time < 6


def test_an_overloaded_endpoint_is_asked_less_at_once(journal):
    def script(call):
        is_full = scripted.num_in_flight > 4
        return Fails(status=429) if is_full else Says(text="ok", seconds=20)

    scripted = ScriptedEndpoint(script)
    requests = [request(str(number)) for number in range(150)]
    results = ask(requests, connection=connect(scripted, journal, max_attempts=100))
    assert all(isinstance(one, Reply) for one in results.values())
    assert len(scripted.calls) < 350


def test_a_picture_that_went_away_is_a_failure_of_its_request_alone(journal, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(picture().data)
    lost = ChatRequest(messages=(user(admit(path)),), model="m", max_output_tokens=5)
    path.unlink()
    connection = connect(lambda call: Says(text="ok"), journal)
    results = ask([lost, request()], connection=connection)
    assert results[lost.key].reason == "picture"
    assert results[request().key].text == "ok"


def test_text_that_no_json_can_carry_is_asked_and_answered(journal):
    result, scripted = ask_one(lambda call: Says(text="ok"), journal, asked=request("a\ud800\x00"))
    assert (result.text, scripted.calls[0].text) == ("ok", "a?\x00")


def test_without_a_price_nothing_is_said_of_money_and_a_cap_is_refused(journal):
    unpriced = {
        "dollars_per_million_input_tokens": None,
        "dollars_per_million_output_tokens": None,
    }
    result, _ = ask_one(lambda call: Says(text="ok"), journal, **unpriced)
    assert result.dollars is None
    with pytest.raises(ConfigError, match="price-unknown"):
        ask_one(lambda call: Says(text="ok"), journal, budget=Budget(1.0), **unpriced)


def test_progress_hears_of_every_request_with_the_money_spent(journal):
    notes = []
    dear = Says(text="ok", output_tokens=10**6)
    connection = connect(lambda call: dear, journal, max_concurrency=1)
    requests = [request(text) for text in "ab"]
    ask(requests, connection=connection, progress=lambda note="": notes.append(note))
    ask(requests, connection=connection, progress=lambda note="": notes.append(note))
    assert notes == ["$8.00 spent", "$16.00 spent", "$16.00 spent", "$16.00 spent"]


def test_what_arrived_before_ctrl_c_is_in_the_journal(journal):
    def script(call):
        if call.text == "19":
            signal.raise_signal(signal.SIGINT)
        return Hangs() if int(call.text) % 2 else Says(text="ok", seconds=1)

    requests = [request(str(number)) for number in range(40)]
    connection = connect(script, journal, max_concurrency=12)
    with pytest.raises(KeyboardInterrupt):
        ask(requests, connection=connection)
    arrived = [one for one in requests if journal.find(one.key) is not None]
    assert {int(one.messages[0].content[0]) for one in arrived} >= {0, 2, 4}
    assert len(arrived) < 20


@pytest.mark.parametrize("cap", [10.0, None], ids=["cap", "no cap"])
def test_a_run_that_is_left_cancels_its_calls_and_counts_them_at_their_worst(journal, cap):
    budget = Budget(cap)
    scripted = ScriptedEndpoint(lambda call: Says(text="ok") if call.text == "0" else Hangs())
    connection = connect(scripted, journal, budget=budget)
    requests = [request(str(number)) for number in range(5)]

    async def first():
        async with aclosing(ask_all(requests, connection=connection)) as outcomes:
            async for outcome in outcomes:
                return outcome
            raise AssertionError("nothing came")

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(first()).key == requests[0].key
    assert (scripted.num_in_flight, len(scripted.calls)) == (0, 5)
    money = journal.money()
    assert budget.reserved == 0
    assert budget.spent == pytest.approx(money.total)
    assert money.maybe_billed > 4 * 1024 * 8e-6


def test_the_key_is_sent_and_shows_nowhere_else(journal, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    echo = cycle(
        [
            Says(text=f"Your key is {KEY}.", reasoning=KEY),
            Says(text=None, refusal=f"Not with {KEY}"),
            Fails(status=400, message=f"Bad request with {KEY}"),
            Fails(status=401, message=f"Incorrect API key: {KEY}"),
        ]
    )
    scripted = ScriptedEndpoint(lambda call: next(echo))
    connection = connect(scripted, journal, api_key=KEY, max_concurrency=1)
    requests = [request(str(number)) for number in range(4)]
    shown = [repr(connection)]
    with pytest.raises(EndpointError) as caught:
        ask(requests, connection=connection)
    shown += traceback.format_exception(caught.value)
    shown += [repr(journal.find(one.key)) for one in requests]
    journal.close()
    assert all(call.headers["authorization"] == f"Bearer {KEY}" for call in scripted.calls)
    assert len(scripted.calls) == 4
    assert KEY not in "".join(shown) + caplog.text
    assert KEY.encode() not in b"".join(one.read_bytes() for one in journal.path.parent.iterdir())
    assert "Your key is [key]." in shown[-4]


def test_an_endpoint_without_a_key_never_gets_one_from_the_environment(journal, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    _, scripted = ask_one(lambda call: Says(text="ok"), journal)
    assert KEY not in str(scripted.calls[0].headers)


def test_failures_have_the_last_reason_and_the_number_of_attempts(journal):
    acts = (Hangs(), Fails(status=500), Fails(status=400))
    result, _ = ask_one(in_turn(*acts), journal)
    assert isinstance(result, Failure)
    assert (result.reason, result.attempts) == ("rejected", 3)


def test_a_missing_library_is_named_with_its_extra(journal, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"vlreward\[curate\]"):
        ask_one(lambda call: Says(text="ok"), journal)


def test_heavy_libraries_are_loaded_only_when_something_is_asked():
    folder = Path(client.__file__).parent
    modules = [f"vlreward.generation.{one.stem}" for one in folder.glob("[!_]*.py")]
    assert len(modules) > 10
    heavy = ("torch", "transformers", "openai", "httpx2", "genai_prices")
    program = f"import sys, {', '.join(modules)}\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
