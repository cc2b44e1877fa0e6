"""`vlreward curate` with a judge, killed again and again: no reply is paid for twice, and the set
is the one that an undisturbed run makes, byte for byte.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress

import pytest

from tests.support.endpoint import pairs, truth
from tests.workflows.judging import (
    MIX,
    bill_id,
    judge_at,
    recipe,
    silent_rows,
    world_config,
    write_sources,
)
from tests.workflows.sets import digests
from vlreward import configuration
from vlreward.curation import ledger
from vlreward.generation.client import Connection
from vlreward.generation.journal import ReplyJournal
from vlreward.generation.verdicts import pair_requests
from vlreward.world.endpoint.config import FaultRates
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.preferences import make_pairs

CONCURRENCY = 16


class Program:
    """The process that forks the runs, and the run of the moment."""

    def __init__(self, process):
        self.process = process
        self.child = None

    def start(self, config, output):
        path = output.parent / f"{output.name}.yaml"
        path.write_text(configuration.to_yaml(config))
        arguments = ["curate", "--from", str(path), "--max-dollars", "1000"]
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().split()
        assert said[0] == "child"
        self.child = int(said[1])

    def kill(self):
        """Kills the run; gives the status that it ended with, 0 if it was quicker."""
        with suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL)
        return self.ended()

    def ended(self):
        said = self.process.stdout.readline().split()
        assert said[0] == "ended"
        return int(said[1])


@pytest.fixture
def program():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.workflows.curating"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield Program(process)
        process.stdin.close()


def wait_for(is_due):
    """Waits for a moment that other processes bring about."""
    never = threading.Event()
    for _ in range(100_000):
        if is_due():
            return
        never.wait(0.003)
    raise AssertionError("the moment never came")


def moments(rng, *, num_calls, num_kills, endpoint, output):
    """When to kill: as random numbers of requests are answered, and while the set is written."""
    answered = sorted(rng.sample(range(1, num_calls - CONCURRENCY), num_kills))
    for number in answered:
        yield lambda number=number: len(endpoint.bill.answered) >= number
    yield lambda: (output / "set.tmp").exists() or (output / "set").exists()


def journaled(output, requests):
    """What the endpoint's bill calls the requests whose replies the journal holds."""
    with ReplyJournal(output / "replies.sqlite") as journal:
        return {name for name, request in requests.items() if journal.find(request.key)}


def all_requests(rows, *, judge, folder):
    """Every request that judging the rows makes, by its name in the bill."""
    with ReplyJournal(folder / "unused.sqlite") as journal:
        made = pair_requests(rows, connection=Connection(endpoint=judge, journal=journal))
    return {bill_id(request, endpoint=judge): request for request in made}


def check_kills(tmp_path, program, *, rows, world, faults, num_kills, **settings):
    sources = write_sources(tmp_path, rows)
    faulty = world_config(faults=faults, retry_after_seconds=0, hang_seconds=60)
    with WorldEndpoint(world, faulty) as endpoint:
        judge = judge_at(endpoint.base_url, max_concurrency=CONCURRENCY, **settings)
        program.start(recipe(sources, judge=judge, output=tmp_path / "whole"), tmp_path / "whole")
        assert program.ended() == 0
        undisturbed = endpoint.bill
    whole = digests(tmp_path / "whole" / "set")

    output, had, rng = tmp_path / "killed", [], random.Random(5)
    with WorldEndpoint(world, faulty) as endpoint:
        judge = judge_at(endpoint.base_url, max_concurrency=CONCURRENCY, **settings)
        requests = all_requests(rows, judge=judge, folder=tmp_path)
        config = recipe(sources, judge=judge, output=output)
        for is_due in moments(
            rng,
            num_calls=len(undisturbed.answered),
            num_kills=num_kills,
            endpoint=endpoint,
            output=output,
        ):
            program.start(config, output)
            wait_for(is_due)
            assert program.kill() == signal.SIGKILL or (output / "set").exists()
            had.append((journaled(output, requests), endpoint.bill.answered))
        program.start(config, output)
        assert program.ended() == 0
        bill = endpoint.bill

    assert digests(output / "set") == whole
    assert set(bill.answered) == set(undisturbed.answered) <= set(requests)
    for recorded, answered in had:
        assert recorded <= set(answered)
        assert all(bill.answered[name] == answered[name] for name in recorded), "paid for again"
    sent_again = sum(bill.answered.values()) - len(bill.answered)
    assert sent_again <= (num_kills + 1) * CONCURRENCY
    with ReplyJournal(output / "replies.sqlite") as journal:
        money = journal.money()
        assert journal.count() == len(bill.answered)
    torn = sum(one.torn_dollars for one in bill.models.values())
    assert money.billed == pytest.approx(undisturbed.dollars)
    assert money.billed <= bill.dollars + torn <= money.total
    return ledger.read(output / "set" / "ledger.parquet"), bill


def test_a_killed_run_pays_for_no_reply_twice_and_makes_the_same_set(tmp_path, program):
    faults = FaultRates(rate_limit=0.1, torn=0.03, refusal=0.03)
    entries, bill = check_kills(
        tmp_path,
        program,
        rows=silent_rows(pairs(), number=75),
        world=truth(),
        faults=faults,
        num_kills=2,
    )
    assert len(bill.answered) > 130
    assert Counter(one.reason for one in entries)["judged-contradicted"] > 20


@pytest.mark.slow
def test_of_5000_calls_to_a_faulty_endpoint_none_is_lost_to_twenty_kills(tmp_path, program):
    known = list(make_pairs(num_pictures=1100, seed=3, split="train"))
    entries, bill = check_kills(
        tmp_path,
        program,
        rows=silent_rows(known, number=2600),
        world=WorldTruth(known),
        faults=MIX,
        num_kills=20,
        timeout_seconds=3.0,
    )
    assert len(bill.answered) >= 5000
    assert max(bill.answered.values()) > 1, "some kills caught calls on their way"
    assert {one.reason for one in entries} >= {
        "identical",
        "judged-contradicted",
        "not-judged-refusal",
    }
