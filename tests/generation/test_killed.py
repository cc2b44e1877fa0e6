"""A run against a real server, killed again and again: nothing is paid for twice."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.generation.asking import MAX_CONCURRENCY, NUM_REQUESTS
from tests.generation.making import DOLLARS_PER_REPLY, journal_at, request
from vlreward.generation.outcomes import Reply
from vlreward.generation.scripted import Says, completion

NUM_KILLS = 6


class CountingServer(ThreadingHTTPServer):
    """Answers every question, counts them, and calls `at_arrival` once after so many more."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = Counter()
        self.lock = threading.Lock()
        self.num_until_call = -1
        self.at_arrival = lambda: None
        self.never = threading.Event()

    def arrived(self, question):
        with self.lock:
            self.asked[question] += 1
            self.num_until_call -= 1
            is_due = self.num_until_call == 0
        if is_due:
            self.at_arrival()

    def handle_error(self, *args):
        """A client that was killed is no error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][0]["content"]
        self.server.arrived(question)
        self.server.never.wait(0.01)
        data = json.dumps(completion(Says(text=f"re: {question}"), model="m")).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Nothing is logged."""


@pytest.fixture
def server():
    server = CountingServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def program(server, tmp_path):
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    command = [sys.executable, "-m", "tests.generation.asking", str(tmp_path), url]
    pythonpath = os.pathsep.join(sys.path)
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": pythonpath},
    ) as process:
        yield process
        process.stdin.close()


def run_once(program):
    """Starts a child; gives its process id."""
    program.stdin.write("go\n")
    program.stdin.flush()
    said = program.stdout.readline().split()
    assert said[0] == "child"
    return int(said[1])


def status_at_end(program):
    said = program.stdout.readline().split()
    assert said[0] == "ended"
    return int(said[1])


def test_a_run_killed_at_random_points_never_asks_again_for_what_it_had(server, program, tmp_path):
    rng = random.Random(11)
    had = []
    for _ in range(NUM_KILLS):
        is_due = threading.Event()
        server.at_arrival = is_due.set
        server.num_until_call = rng.randint(1, 16)
        child = run_once(program)
        assert is_due.wait(300), "the run came to an end by itself"
        server.never.wait(rng.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        assert status_at_end(program) == signal.SIGKILL
        with journal_at(tmp_path) as journal:
            recorded = {n for n in range(NUM_REQUESTS) if journal.find(request(f"q{n}").key)}
        had.append((recorded, dict(server.asked)))
    run_once(program)
    assert status_at_end(program) == 0

    assert had[-1][0], "some replies were there before the last kill"
    for recorded, asked in had:
        assert all(server.asked[f"q{n}"] == asked[f"q{n}"] for n in recorded)
    assert len(server.asked) == NUM_REQUESTS
    resent = server.asked.total() - NUM_REQUESTS
    assert 0 < resent <= NUM_KILLS * MAX_CONCURRENCY
    with journal_at(tmp_path) as journal:
        replies = [journal.find(request(f"q{n}").key) for n in range(NUM_REQUESTS)]
        money = journal.money()
    assert [one.text for one in replies if isinstance(one, Reply)] == [
        f"re: q{n}" for n in range(NUM_REQUESTS)
    ]
    assert money.billed == pytest.approx(NUM_REQUESTS * DOLLARS_PER_REPLY)
    assert money.total >= server.asked.total() * DOLLARS_PER_REPLY - 1e-9
