"""Models that a run asks in its own process: journaled like any other, and loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.generation.making import journal_at
from vlreward.cli import run
from vlreward.curation import ledger
from vlreward.errors import CheckpointError, ConfigError
from vlreward.generation.client import Connection, ask
from vlreward.generation.config import EndpointConfig
from vlreward.generation.journal import ReplyJournal
from vlreward.generation.outcomes import Failure, Reply
from vlreward.generation.requests import ChatRequest, make_request
from vlreward.generation.spec import describe_endpoint, parse_endpoint
from vlreward.generation.transport import Setback
from vlreward.records import Message, Picture, PreferencePair
from vlreward.sampling import LocalGenerator
from vlreward.workflows.local_models import LocalModels
from vlreward.world.preferences import make_pairs

BASE = parse_endpoint("local:miniature-base")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[ReplyJournal]:
    with journal_at(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def pairs() -> list[PreferencePair]:
    """Questions about pictures of single shapes."""
    return [one.pair for one in make_pairs(num_pictures=6, seed=5, split="val")][:4]


def requests_of(
    pairs: list[PreferencePair], *, endpoint: EndpointConfig, num_samples: int = 1
) -> list[ChatRequest]:
    return [
        make_request(one.prompt.messages, endpoint=endpoint, kind="answer", sample=sample)
        for one in pairs
        for sample in range(num_samples)
    ]


def test_answers_are_the_models_and_none_is_drawn_twice(
    journal: ReplyJournal, pairs: list[PreferencePair]
) -> None:
    asked = requests_of(pairs, endpoint=BASE)
    connection = Connection(endpoint=BASE, journal=journal, in_process=LocalModels().sender)
    results = ask(asked, connection=connection)
    alone = LocalGenerator.load("miniature-base")
    for one, pair in zip(asked, pairs, strict=True):
        result = results[one.key]
        [wanted] = alone.generate(pair.prompt, num_responses=1, seed=0)
        assert isinstance(result, Reply) and result.text == wanted.text
        assert result.model == "miniature-base" and result.finish_reason == "stop"

    again = ask(asked, connection=replace(connection, in_process=lambda one: _Refusing()))
    assert again == results


class _Refusing:
    async def send(self, request: ChatRequest) -> Setback:
        raise AssertionError("asked again")

    async def close(self) -> None:
        pass


def test_samples_differ_and_come_again(tmp_path: Path, pairs: list[PreferencePair]) -> None:
    warm = replace(BASE, temperature=2.0, max_output_tokens=8)
    asked = requests_of(pairs[:1], endpoint=warm, num_samples=4)
    said = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with journal_at(tmp_path / name) as journal:
            connection = Connection(endpoint=warm, journal=journal, in_process=LocalModels().sender)
            results = ask(asked, connection=connection)
            said.append([getattr(results[one.key], "text", None) for one in asked])
    assert said[0] == said[1] and len(set(said[0])) > 1


def test_what_a_model_cannot_read_is_a_failure_and_the_others_go_on(
    journal: ReplyJournal, pairs: list[PreferencePair]
) -> None:
    gone = Picture(sha256="0" * 64, path=Path("/nowhere/gone.png"), width=32, height=32)
    messages = (Message(role="user", content=(gone, "Which shape?")),)
    lost = make_request(messages, endpoint=BASE, kind="answer")
    good = requests_of(pairs[:1], endpoint=BASE)
    connection = Connection(endpoint=BASE, journal=journal, in_process=LocalModels().sender)
    results = ask([lost, *good], connection=connection)
    failure = results[lost.key]
    assert isinstance(failure, Failure) and failure.reason == "picture"
    assert isinstance(results[good[0].key], Reply)


def test_where_no_model_can_run_the_error_says_so(journal: ReplyJournal) -> None:
    with pytest.raises(ConfigError, match="in-process-unsupported"):
        ask([], connection=Connection(endpoint=BASE, journal=journal))
    connection = Connection(
        endpoint=replace(BASE, model="miniature"), journal=journal, in_process=LocalModels().sender
    )
    with pytest.raises(CheckpointError, match="is-a-reward-model"):
        ask([], connection=connection)


def test_the_word_local_names_such_a_model() -> None:
    endpoint = parse_endpoint("local:org/model@x")
    assert endpoint.is_in_process and endpoint.model == "org/model@x"
    assert describe_endpoint(endpoint) == "local:org/model@x"


def test_a_curation_run_asks_a_model_in_its_own_process(tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "Why?", "chosen": "So.", "rejected": "No."}\n')
    output = tmp_path / "run"
    command = ["curate", "--data", str(data), "--judge", "local:miniature-base"]
    assert run([*command, "--output", str(output)]) == 0
    [entry] = ledger.read(output / "set" / "ledger.parquet")
    assert entry.step == "drop-ambiguous" and entry.reason.startswith("not-judged")
    with ReplyJournal(output / "replies.sqlite") as journal:
        assert journal.money().total == 0
