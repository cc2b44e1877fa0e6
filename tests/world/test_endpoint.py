"""The endpoint as a server: OpenAI's protocol, many connections, and no request that breaks it."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.endpoint import Client, comparison, pairs, question, request, truth
from vlreward.errors import ConfigError
from vlreward.world.endpoint.__main__ import main
from vlreward.world.endpoint.config import FaultRates, RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint

KNOWN = pairs()[0]
SOUND = request("world-vlm", question(KNOWN), KNOWN.pair.prompt.pictures)
PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Whatever is asked, nothing is printed, a traceback least of all."""
    yield
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[WorldEndpoint]:
    with WorldEndpoint(truth(), WorldEndpointConfig(max_body_bytes=200_000)) as opened:
        yield opened


def with_content(content: object) -> Any:
    return {"model": "world-vlm", "messages": [{"role": "user", "content": content}]}


def test_openais_client_is_understood(endpoint: WorldEndpoint) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=endpoint.base_url, api_key="none", max_retries=0) as client:
        names = {model.id for model in client.models.list()}
        assert names == {"world-judge", "world-vlm", "world-describer", "world-reasoner"}
        body = comparison(KNOWN, KNOWN.pair.rejected, KNOWN.pair.chosen)
        reply = client.chat.completions.create(**body, temperature=0.0)
        assert json.loads(reply.choices[0].message.content)["better"] == "second"
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + len(
            reply.choices[0].message.content.split()
        )
        with pytest.raises(openai.NotFoundError) as unknown:
            client.chat.completions.create(**{**SOUND, "model": "gpt-5"})
        assert unknown.value.code == "model_not_found" and unknown.value.param == "model"
        with pytest.raises(openai.BadRequestError, match=r"stream: True; expected false"):
            client.chat.completions.create(**SOUND, stream=True)


def test_words_and_pictures_are_counted_as_tokens(endpoint: WorldEndpoint) -> None:
    body = {
        "model": "world-describer",
        "messages": [
            {"role": "system", "content": "You see well."},
            {"role": "user", "content": [PART, {"type": "text", "text": "Describe it all."}, PART]},
        ],
        "n": 2,
    }
    with Client(endpoint) as client:
        reply = client.ask(body)
    num_words = sum(len(one["message"]["content"].split()) for one in reply.body["choices"])
    assert reply.body["usage"] == {
        "prompt_tokens": 206,
        "completion_tokens": num_words,
        "total_tokens": 206 + num_words,
    }


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ([], "body"),
        ({}, "messages"),
        ({**SOUND, "model": None}, "model"),
        ({**SOUND, "messages": "hello"}, "messages"),
        ({**SOUND, "messages": []}, "messages"),
        ({**SOUND, "messages": ["hello"]}, "messages[0]"),
        ({**SOUND, "messages": [{"role": "robot", "content": "hello"}]}, "messages[0].role"),
        ({**SOUND, "messages": [{"role": [], "content": "hello"}]}, "messages[0].role"),
        (with_content(None), "messages[0].content"),
        (with_content([7]), "messages[0].content[0]"),
        (with_content([{"type": "audio"}]), "messages[0].content[0].type"),
        (with_content([{"type": "text"}]), "messages[0].content[0].text"),
        (with_content([PART, {"type": "image_url"}]), "messages[0].content[1].image_url"),
        *(
            (
                with_content([{"type": "image_url", "image_url": {"url": url}}]),
                "messages[0].content[0].image_url.url",
            )
            for url in (3, "http://127.0.0.1/a.png", "data:image/png;base64,???", "data:,ä")
        ),
        *(({**SOUND, "n": count}, "n") for count in (0, 129, 1.0, True, "2")),
        ({**SOUND, "response_format": "json"}, "response_format"),
        ({**SOUND, "response_format": {"type": "xml"}}, "response_format.type"),
        ({**SOUND, "response_format": {"type": "json_object"}}, "response_format"),
        (
            {**SOUND, "response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format.json_schema.schema",
        ),
        (
            comparison(
                KNOWN,
                "",
                "",
                response_format={
                    "type": "json_schema",
                    "json_schema": {"schema": {"properties": {"winner": {}}}},
                },
            ),
            "response_format.json_schema.schema.properties",
        ),
    ],
)
def test_a_malformed_request_is_refused_with_its_place(
    endpoint: WorldEndpoint, body: object, place: str
) -> None:
    with Client(endpoint) as client:
        reply = client.ask(body)
        assert (reply.status, reply.body["error"]["param"]) == (400, place)
        assert set(reply.body["error"]) == {"message", "type", "param", "code"}
        assert reply.body["error"]["type"] == "invalid_request_error"
        assert client.ask(SOUND).status == 200, "the connection lives on"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
        json.dumps(SOUND).encode()[:-9],
    ],
    ids=["nothing", "open", "no utf-8", "deep", "a long number", "cut"],
)
def test_a_body_that_is_no_json_is_refused(endpoint: WorldEndpoint, content: bytes) -> None:
    with Client(endpoint) as client:
        reply = client.send("POST", "/v1/chat/completions", content)
        assert (reply.status, reply.body["error"]["param"]) == (400, "body")
        assert client.ask(SOUND).status == 200


def test_half_a_character_is_no_reason_to_break(endpoint: WorldEndpoint) -> None:
    with Client(endpoint) as client:
        for model in ("world-judge", "world-reasoner"):
            content = json.dumps(request(model, "half")).replace("half", "\\ud83d").encode()
            assert client.send("POST", "/v1/chat/completions", content).status == 200


def test_a_body_over_the_limit_is_refused_and_read_away(endpoint: WorldEndpoint) -> None:
    with Client(endpoint) as client:
        reply = client.ask({**SOUND, "user": "x" * 200_000})
        assert (reply.status, reply.body["error"]["code"]) == (413, "too-large")
        assert client.ask(SOUND).status == 200


@pytest.mark.parametrize("length", ["-1", "many", "9" * 5000, "²"])
def test_a_length_that_is_none_is_refused(endpoint: WorldEndpoint, length: str) -> None:
    with Client(endpoint) as client:
        path = "/v1/chat/completions"
        reply = client.send("POST", path, **{"Content-Length": length})
        assert (reply.status, reply.body["error"]["code"]) == (400, "content-length")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("POST", "/completions"),
    ],
)
def test_another_path_is_not_found(endpoint: WorldEndpoint, method: str, path: str) -> None:
    with Client(endpoint) as client:
        reply = client.send(method, path, b"{}")
        assert (reply.status, reply.body["error"]["code"]) == (404, "unknown-path")
        assert f"{method} {path}" in reply.body["error"]["message"]


def test_what_is_no_http_is_refused_in_the_same_shape(endpoint: WorldEndpoint) -> None:
    with Client(endpoint) as client:
        assert client.send("DELETE", "/v1/models").body["error"]["code"] == "http-error"
    address = urlsplit(endpoint.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as plain:
        plain.sendall(b"a b c d e\r\n\r\n")
        assert b'{"error": ' in plain.makefile("rb").read()


def test_a_client_that_leaves_midway_disturbs_nobody() -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{"
    abruptly = struct.pack("ii", 1, 0)
    with WorldEndpoint(truth()) as endpoint:
        address = urlsplit(endpoint.base_url)
        for sent in (b"", b"POST /v1", head):
            for linger in (None, abruptly):
                with socket.create_connection((address.hostname, address.port)) as plain:
                    if linger is not None:
                        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    plain.sendall(sent)
        with Client(endpoint) as client:
            assert client.ask(SOUND).status == 200


def test_a_key_is_asked_for_where_there_is_one() -> None:
    with WorldEndpoint(truth(), WorldEndpointConfig(api_key="secret")) as endpoint:
        with Client(endpoint) as client:
            for path in ("/v1/models", "/bill"):
                for headers in ({}, {"Authorization": "Bearer wrong"}):
                    reply = client.send("GET", path, **headers)
                    assert (reply.status, reply.body["error"]["code"]) == (401, "invalid_api_key")
                assert client.send("GET", path, Authorization="Bearer secret").status == 200
            assert client.ask(SOUND).status == 401
        assert endpoint.bill.models["world-vlm"].calls == 0


def test_sixty_four_connections_are_held_and_served_at_once() -> None:
    everyone = threading.Barrier(64)
    bodies = [{**SOUND, "user": str(number)} for number in range(5)]

    def talk(number: int) -> list[int]:
        with Client(endpoint) as client:
            first = client.ask(bodies[0]).status
            everyone.wait(timeout=20)
            return [first, *(client.ask(body).status for body in bodies[1:])]

    with WorldEndpoint(truth()) as endpoint, ThreadPoolExecutor(64) as pool:
        statuses = [status for talked in pool.map(talk, range(64)) for status in talked]
        assert statuses == [200] * 320
        assert endpoint.bill.models["world-vlm"].answered == 320
        assert set(endpoint.bill.answered.values()) == {64}


def test_the_end_waits_for_no_connection_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    hanging = WorldEndpointConfig(faults=FaultRates(hang=1.0), hang_seconds=600.0)
    with WorldEndpoint(truth(), hanging) as endpoint:
        with Client(endpoint, timeout_seconds=0.05) as client, pytest.raises(TimeoutError):
            client.ask(SOUND)
        idle = Client(endpoint)
        assert idle.send("GET", "/bill").status == 200
        start = time.monotonic()
    assert time.monotonic() - start < 5.0
    assert set(threading.enumerate()) <= before
    idle.connection.close()


def test_a_port_that_is_taken_is_refused(endpoint: WorldEndpoint) -> None:
    port = urlsplit(endpoint.base_url).port
    assert port is not None
    with (
        pytest.raises(ConfigError, match="Choose another port"),
        WorldEndpoint(truth(), WorldEndpointConfig(port=port)),
    ):
        pass


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: RoleConfig(error_rate=1.1), "error_rate"),
        (lambda: RoleConfig(error_rate=float("nan")), "error_rate"),
        (lambda: RoleConfig(input_price=-1.0), "input_price"),
        (lambda: FaultRates(hang=-0.1), "faults.hang"),
        (lambda: FaultRates(hang=0.6, torn=0.6), "faults"),
        (lambda: WorldEndpointConfig(retry_after_seconds=-1.0), "retry_after_seconds"),
        (lambda: WorldEndpointConfig(hang_seconds=float("inf")), "hang_seconds"),
        (lambda: WorldEndpointConfig(max_body_bytes=0), "max_body_bytes"),
        (lambda: WorldEndpointConfig(api_key=""), "api_key"),
        (lambda: WorldEndpointConfig(port=70_000), "port"),
    ],
)
def test_a_wrong_configuration_is_refused(make: Any, place: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make()
    assert refused.value.place == place


def test_ctrl_c_ends_a_rehearsal_with_its_bill() -> None:
    command = [sys.executable, "-m", "vlreward.world.endpoint", "--num-pictures", "20"]
    command += ["--num-text-pairs", "5", "--vlm.output-price", "1000000"]
    source = Path(__file__).resolve().parents[2] / "src"
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    ) as process:
        assert process.stdout is not None
        address = urlsplit(process.stdout.readline().split()[0])
        assert process.stdout.readline().startswith("Models: world-judge, ")
        connection = HTTPConnection("127.0.0.1", address.port or 0, timeout=20)
        connection.request("POST", "/v1/chat/completions", body=json.dumps(SOUND))
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=20)
        connection.close()
    assert (process.returncode, errors) == (0, "")
    assert "world-vlm: 1 calls, 1 answered, " in printed
    assert "world-judge: 0 calls, 0 answered, 0.0000 dollars" in printed


def test_a_wrong_argument_ends_a_rehearsal_with_a_sentence(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["--judge.error-rate", "2"]) == 2
    assert "error_rate: 2.0; expected a share in [0, 1]" in capfd.readouterr().err
