"""`vlreward score`: every row of a file gets its rewards, and bad rows say why they got none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from vlreward.durable import written_atomically
from vlreward.errors import ConfigError, DataError, VlrewardError
from vlreward.progress import Progress
from vlreward.records import Score
from vlreward.scoring import COMPARISONS_AT_A_TIME, RewardModel
from vlreward.sources.comparisons import Comparison
from vlreward.sources.config import SourceConfig
from vlreward.sources.files import find_files
from vlreward.sources.read import find_source, read_comparisons


class Scored(NamedTuple):
    """How many rows got scores, and how many were refused."""

    num_scored: int
    num_refused: int


def score_file(model: RewardModel, source: SourceConfig, *, output: Path) -> Scored:
    """Writes a JSON line for each row of `source`, in its order; whole or not at all.

    A line is {"id", "place", "rewards", "best", "truncated_tokens"}, or {"id", "place", "error"}
    for a row that cannot be scored. Raises DataError if the source as a whole cannot be read.
    """
    check_places(source, output)
    num_scored = num_refused = 0
    with (
        written_atomically(output) as file,
        Progress() as progress,
        progress.phase("Scoring") as advance,
    ):
        for line in _lines(model, read_comparisons(source)):
            num_refused += "error" in line
            num_scored += "error" not in line
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            advance()
    return Scored(num_scored, num_refused)


def check_places(source: SourceConfig, output: Path) -> None:
    """Raises DataError if the source is not there, ConfigError if the output cannot be written."""
    find_source(source)
    if output.is_dir():
        raise ConfigError(
            "output-is-a-folder",
            value=str(output),
            place="output",
            expected="the path of a file to write",
            mend=f"For instance {output / 'scores.jsonl'}.",
        )
    if not source.is_hub and output.resolve() in map(Path.resolve, find_files(source.path)):
        raise ConfigError(
            "output-is-the-source",
            value=str(output),
            place="output",
            expected="another file than the one that is read",
            mend="Choose another name.",
        )


def _lines(model: RewardModel, rows: Iterator[Comparison | DataError]) -> Iterator[dict[str, Any]]:
    while window := list(islice(rows, COMPARISONS_AT_A_TIME)):
        readable = [row for row in window if isinstance(row, Comparison)]
        outcomes = model.score_each((row.prompt, row.responses) for row in readable)
        for row in window:
            if isinstance(row, DataError):
                yield _refusal(row.row_id, row.place, row)
            else:
                yield _line(row, next(outcomes))


def _line(row: Comparison, outcome: list[Score] | VlrewardError) -> dict[str, Any]:
    if isinstance(outcome, VlrewardError):
        return _refusal(row.row_id, row.place, outcome)
    rewards = [score.value for score in outcome]
    return {
        "id": row.row_id,
        "place": row.place,
        "rewards": rewards,
        "best": max(range(len(rewards)), key=lambda index: rewards[index]),
        "truncated_tokens": [score.truncated_tokens for score in outcome],
    }


def _refusal(row_id: str | None, place: str, error: VlrewardError) -> dict[str, Any]:
    return {"id": row_id, "place": place, "error": {"code": error.code, "message": str(error)}}
