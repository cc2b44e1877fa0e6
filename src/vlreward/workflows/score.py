"""`vlreward score`: every row of a file gets its rewards, and bad rows say why they got none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from vlreward.errors import ConfigError, DataError
from vlreward.scoring import RewardModel
from vlreward.sources.comparisons import Comparison
from vlreward.sources.read import read_comparisons
from vlreward.training.progress import Progress

_WINDOW = 64


class Scored(NamedTuple):
    """How many rows got scores, and how many were refused."""

    num_scored: int
    num_refused: int


def score_file(model: RewardModel, source: str, *, output: Path) -> Scored:
    """Writes a JSON line for each row of `source`, in its order; whole or not at all.

    A line is {"id", "place", "rewards", "best", "truncated_tokens"}, or {"id", "place", "error"}
    for a row that cannot be scored. Raises DataError if the source as a whole cannot be read.
    """
    if output.is_dir():
        raise ConfigError(
            "output-is-a-folder",
            value=str(output),
            place="output",
            expected="the path of a file to write",
            mend=f"For instance {output / 'scores.jsonl'}.",
        )
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("w", encoding="utf-8") as file, Progress() as progress:
            with progress.phase("Scoring") as advance:
                counts = [0, 0]
                for line in _lines(model, source):
                    counts["error" in line] += 1
                    _write_line(file, line)
                    advance()
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return Scored(*counts)


def _lines(model: RewardModel, source: str) -> Iterator[dict[str, Any]]:
    window: list[Comparison | dict[str, Any]] = []
    for row in read_comparisons(source):
        window.append(_check(model, row))
        if len(window) == _WINDOW:
            yield from _score_window(model, window)
            window = []
    yield from _score_window(model, window)


def _check(model: RewardModel, row: Comparison | DataError) -> Comparison | dict[str, Any]:
    """The row if the model can read it, else its line with the reason."""
    if isinstance(row, DataError):
        return _refusal(None, row.place, row)
    try:
        model.encoder.encode(row.prompt, row.responses)
    except DataError as error:
        return _refusal(row.row_id, row.place, error)
    return row


def _score_window(
    model: RewardModel, window: list[Comparison | dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    readable = [row for row in window if isinstance(row, Comparison)]
    scores = model.score_many((row.prompt, row.responses) for row in readable)
    for row in window:
        if not isinstance(row, Comparison):
            yield row
            continue
        found = next(scores)
        rewards = [score.value for score in found]
        yield {
            "id": row.row_id,
            "place": row.place,
            "rewards": rewards,
            "best": max(range(len(rewards)), key=lambda index: rewards[index]),
            "truncated_tokens": [score.truncated_tokens for score in found],
        }


def _refusal(row_id: str | None, place: str, error: DataError) -> dict[str, Any]:
    return {"id": row_id, "place": place, "error": {"code": error.code, "message": str(error)}}


def _write_line(file: TextIO, line: dict[str, Any]) -> None:
    file.write(json.dumps(line, ensure_ascii=False) + "\n")
