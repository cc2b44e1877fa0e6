"""A program that a test kills: journals replies without end and says each key it has recorded."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from vlreward.generation.journal import Asked, ReplyJournal
from vlreward.generation.outcomes import Failure, Reply


def main(path: Path) -> None:
    with ReplyJournal(path) as journal:
        for number in itertools.count(journal.count()):
            key = f"{number:064x}"
            send = journal.sending(key, dollars=0.5)
            if number % 3:
                result = Reply(text=f"text {number}", finish_reason="stop", model="m", dollars=0.25)
            else:
                result = Failure(reason="refusal", detail=f"text {number}", dollars=0.25)
            asked = Asked(key=key, kind="test", model="m", expected_input_tokens=1)
            journal.record(asked, result, send=send)
            print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
