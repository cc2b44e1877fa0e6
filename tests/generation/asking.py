"""A program that a test kills: for each line it reads, a child that asks all requests anew.

It says `child <pid>` for each and `ended <status>` after it. The children are forks of a process
that has loaded everything, so that they are quick to start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import openai  # noqa: F401

from tests.generation.making import endpoint, journal_at, request
from vlreward.generation.budget import Budget
from vlreward.generation.client import Connection, ask

NUM_REQUESTS = 150
MAX_CONCURRENCY = 8


def main(folder: Path, url: str) -> None:
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(ask_everything(folder, url))
        print(f"child {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"ended {status}", flush=True)


def ask_everything(folder: Path, url: str) -> int:
    with journal_at(folder) as journal:
        connection = Connection(
            endpoint=endpoint(base_url=url, max_concurrency=MAX_CONCURRENCY, max_attempts=1),
            journal=journal,
            budget=Budget(spent=journal.money().total),
        )
        results = ask([request(f"q{n}") for n in range(NUM_REQUESTS)], connection=connection)
    return 0 if len(results) == NUM_REQUESTS else 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
