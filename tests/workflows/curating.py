"""A program that a test kills: for each line it reads, a child that runs `vlreward` with its words.

It says `child <pid>` for each and `ended <status>` after it. The children are forks of a process
that has loaded everything, so that they are quick to start.
"""

from __future__ import annotations

import json
import os
import sys

import daft  # noqa: F401
import openai  # noqa: F401

import vlreward.workflows.curate  # noqa: F401
from vlreward.cli import run


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(run(json.loads(line)))
        print(f"child {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"ended {status}", flush=True)


if __name__ == "__main__":
    main()
