"""Faults of the endpoint come at their rates and repeat; the bill says what was sent."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from http.client import IncompleteRead, RemoteDisconnected

import pytest

from tests.support.endpoint import Client, comparison, pairs, question, request, truth
from vlreward.world.endpoint.config import FaultRates, RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.protocol import request_id
from vlreward.world.endpoint.server import WorldEndpoint

ASKED = [
    request("world-vlm", question(one), one.pair.prompt.pictures, user=str(number))
    for number, one in enumerate(pairs()[:400])
]
MIXED = FaultRates(rate_limit=0.1, server_error=0.1, hang=0.1, torn=0.1, refusal=0.1)


def outcome(client: Client, body: object) -> str:
    """What became of a request, in a word or two."""
    try:
        reply = client.ask(body)
    except RemoteDisconnected:
        return "hung up"
    except IncompleteRead:
        client.connection.close()
        return "torn, wrong length"
    except json.JSONDecodeError:
        return "torn, right length"
    if reply.status != 200:
        assert set(reply.body["error"]) == {"message", "type", "param", "code"}
        assert ("Retry-After" in reply.headers) == (reply.status == 429)
        return str(reply.status)
    [choice] = reply.body["choices"]
    if choice["message"]["refusal"]:
        assert choice["message"]["content"] is None
        return "refusal"
    if choice["finish_reason"] == "content_filter":
        assert choice["message"]["content"] == ""
        return "filtered"
    return "answered"


def outcomes(config: WorldEndpointConfig, *, num_attempts: int = 1) -> list[str]:
    with WorldEndpoint(truth(), config) as endpoint, Client(endpoint) as client:
        return [outcome(client, body) for body in ASKED for _ in range(num_attempts)]


def test_every_fault_comes_at_its_rate_and_repeats() -> None:
    config = WorldEndpointConfig(faults=MIXED, hang_seconds=0.0)
    found = outcomes(config)
    counts = Counter(found)
    groups = {
        "rate_limit": ["429"],
        "server_error": ["500", "502", "503"],
        "hang": ["hung up"],
        "torn": ["torn, wrong length", "torn, right length"],
        "refusal": ["refusal", "filtered"],
    }
    for names in groups.values():
        assert 0.05 < sum(counts[name] for name in names) / len(ASKED) < 0.16, counts
        assert all(counts[name] > 2 for name in names), "each kind of it occurs"
    assert 0.4 < counts["answered"] / len(ASKED) < 0.6
    assert outcomes(config) == found
    assert outcomes(WorldEndpointConfig(faults=MIXED, hang_seconds=0.0, error_seed=1)) != found


def test_another_attempt_may_succeed() -> None:
    config = WorldEndpointConfig(faults=FaultRates(server_error=0.5))
    found = outcomes(config, num_attempts=2)
    both = Counter(
        (first == "answered", second == "answered")
        for first, second in zip(found[::2], found[1::2], strict=True)
    )
    assert len(both) == 4 and min(both.values()) > 0.15 * len(ASKED)


def test_a_rate_limit_says_when_to_come_again() -> None:
    config = WorldEndpointConfig(faults=FaultRates(rate_limit=1.0), retry_after_seconds=7.0)
    with WorldEndpoint(truth(), config) as endpoint, Client(endpoint) as client:
        reply = client.ask(ASKED[0])
    assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
    assert reply.body["error"]["code"] == "rate_limit_exceeded"


def test_openais_client_retries_until_it_is_answered() -> None:
    openai = pytest.importorskip("openai")
    config = WorldEndpointConfig(faults=FaultRates(rate_limit=0.5), retry_after_seconds=0.001)
    with (
        WorldEndpoint(truth(), config) as endpoint,
        openai.OpenAI(base_url=endpoint.base_url, api_key="none", max_retries=20) as client,
    ):
        for body in ASKED[:10]:
            assert client.chat.completions.create(**body).choices[0].message.content
        bill = endpoint.bill
    assert bill.models["world-vlm"].calls > 10
    assert list(bill.answered.values()) == [1] * 10


def test_the_bill_equals_what_was_sent() -> None:
    config = WorldEndpointConfig(
        judge=RoleConfig(input_price=2.0, output_price=8.0),
        vlm=RoleConfig(input_price=0.5, output_price=1.5),
    )
    used: dict[str, Counter[str]] = {"world-judge": Counter(), "world-vlm": Counter()}
    comparisons = [comparison(one, one.pair.chosen, one.pair.rejected) for one in pairs()[:20]]
    with WorldEndpoint(truth(), config) as endpoint, Client(endpoint) as client:
        for body in [*ASKED[:30], *comparisons, ASKED[0]]:
            assert client.ask({**body, "n": 0}).status == 400, "costs nothing"
            used[body["model"]].update(client.ask(body).body["usage"])
        printed = client.send("GET", "/bill").body
        bill = endpoint.bill
    judge, vlm = bill.models["world-judge"], bill.models["world-vlm"]
    assert (judge.calls, judge.answered, vlm.calls, vlm.answered) == (20, 20, 31, 31)
    for name, one in (("world-judge", judge), ("world-vlm", vlm)):
        assert one.prompt_tokens == used[name]["prompt_tokens"] > 0
        assert one.completion_tokens == used[name]["completion_tokens"] > 0
    assert judge.dollars == pytest.approx(
        (judge.prompt_tokens * 2.0 + judge.completion_tokens * 8.0) / 1e6
    )
    assert vlm.dollars == pytest.approx(
        (vlm.prompt_tokens * 0.5 + vlm.completion_tokens * 1.5) / 1e6
    )
    assert bill.dollars == pytest.approx(judge.dollars + vlm.dollars)
    asked = [request_id(body) for body in [*ASKED[:30], *comparisons, ASKED[0]]]
    assert bill.answered == Counter(asked) and bill.answered[asked[0]] == 2
    assert printed == {**asdict(bill), "answered": dict(bill.answered)}


def test_only_whole_replies_are_answers_and_torn_ones_are_charged_apart() -> None:
    config = WorldEndpointConfig(
        faults=MIXED, hang_seconds=0.0, vlm=RoleConfig(input_price=1.0, output_price=1.0)
    )
    with WorldEndpoint(truth(), config) as endpoint, Client(endpoint) as client:
        found = Counter(outcome(client, body) for body in ASKED)
        vlm, answered = endpoint.bill.models["world-vlm"], endpoint.bill.answered
    whole = found["answered"] + found["refusal"] + found["filtered"]
    assert (vlm.calls, vlm.answered, len(answered)) == (len(ASKED), whole, whole)
    assert vlm.torn == found["torn, wrong length"] + found["torn, right length"]
    tokens_a_torn_one = vlm.torn_dollars * 1e6 / vlm.torn
    assert tokens_a_torn_one == pytest.approx(vlm.dollars * 1e6 / whole, rel=0.1)


def test_the_order_of_fields_makes_no_other_request() -> None:
    body = ASKED[0]
    assert request_id(body) == request_id(dict(reversed(body.items())))
    assert request_id(body) != request_id({**body, "n": 2})


def test_who_asks_again_is_refused_again() -> None:
    found = outcomes(WorldEndpointConfig(faults=FaultRates(refusal=0.3)), num_attempts=2)
    assert found[::2] == found[1::2]
    assert 0.2 < sum(one in ("refusal", "filtered") for one in found) / len(found) < 0.4
