"""A text reward model's winners and speed: shared prompts, one by one, and `rewardbench` itself.

    python3 -m venv peer && peer/bin/pip install torch==2.13.0 rewardbench "setuptools<81"
    python benchmarks/judging/against_rewardbench.py \
        ../shared/data/rewardbench_partial/rewardbench_partial.jsonl runs/text/reward/model \
        --peer-python peer/bin/python --output runs/against-rewardbench

The same rows, on as many threads each: ours with both responses behind one prompt, ours padded to
equal lengths, ours response by response, and the `rewardbench` package's own command on the model
exported for sequence classification. Says how many rows a second each scored, and lists every row
whose winner differs.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import tyro

from vlreward.collation.config import CollationConfig
from vlreward.durable import write_text_atomically
from vlreward.records import Message, Prompt, Response
from vlreward.scoring import RewardModel
from vlreward.workflows.export import export_model

_PEER = Path(__file__).with_name("rewardbench_scores.py")
_LONGEST = 8192
"""Tokens of a prompt and a response, as the package's script is told, too."""
_MARGIN = 2e-5
"""Below this a winner is a matter of rounding."""


class Pair(NamedTuple):
    """A row: what was asked, and the chosen and the rejected response."""

    id: str
    question: str
    chosen: str
    rejected: str

    @property
    def prompt(self) -> Prompt:
        """The question as a conversation of one turn."""
        return Prompt(messages=(Message(role="user", content=(self.question,)),))

    @property
    def responses(self) -> tuple[Response, Response]:
        """The chosen and the rejected one."""
        return Response(content=(self.chosen,)), Response(content=(self.rejected,))


class Scores(NamedTuple):
    """Rewards of the chosen and the rejected response of every row, and the seconds they took."""

    rewards: list[tuple[float, float]]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What is scored, by whom."""

    rows: tyro.conf.Positional[Path]
    """JSONL with `id`, `prompt`, `chosen` and `rejected`, texts all."""
    model: tyro.conf.Positional[str]
    """A reward model for text."""
    peer_python: Path
    """Python of the environment that `rewardbench` is installed in."""
    output: Path = Path("runs/against-rewardbench")
    """Folder of the export and the tables."""
    skip_slower_ways: bool = False
    """Leave out ours padded and ours one by one."""
    limit: int | None = None
    """Take only so many rows, evenly from the file."""


def main(arguments: Arguments) -> None:
    """Prints the speeds, and the rows on which the winners differ."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = _read(arguments.rows, limit=arguments.limit)
    whole = CollationConfig(max_length=_LONGEST, token_budget=_LONGEST)
    model = RewardModel.load(arguments.model, dtype="float32", collation=whole)
    shared = _timed(lambda: _together(model, rows))
    ways = {"ours, shared prompts": shared}
    if not arguments.skip_slower_ways:
        plain = RewardModel.load(arguments.model, dtype="float32", collation=whole, layout="padded")
        ways["ours, padded"] = _timed(lambda: _together(plain, rows))
        ways["ours, one by one"] = _timed(lambda: _one_by_one(model, rows))
    ways["rewardbench"] = _peer(rows, arguments)
    lines = [f"{len(rows)} rows, {torch.get_num_threads()} thread(s).", "", *_speeds(ways, rows)]
    for name in list(ways)[1:]:
        lines += ["", *_differences(rows, shared.rewards, ways[name].rewards, name=name)]
    text = "\n".join(lines) + "\n"
    write_text_atomically(arguments.output / "table.md", text)
    print(text)


def _read(path: Path, *, limit: int | None) -> list[Pair]:
    found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    step = 1 if limit is None else max(len(found) // limit, 1)
    return [
        Pair(str(row["id"]), row["prompt"], row["chosen"], row["rejected"])
        for row in found[::step][:limit]
    ]


def _timed(score: Callable[[], list[tuple[float, float]]]) -> Scores:
    started = time.monotonic()
    rewards = score()
    return Scores(rewards, time.monotonic() - started)


def _together(model: RewardModel, rows: Sequence[Pair]) -> list[tuple[float, float]]:
    results = model.score_many((row.prompt, row.responses) for row in rows)
    return [(chosen.value, rejected.value) for chosen, rejected in results]


def _one_by_one(model: RewardModel, rows: Sequence[Pair]) -> list[tuple[float, float]]:
    """Each response in a forward pass of its own, behind its own copy of the prompt."""
    values = [
        next(model.score_many([(row.prompt, [response])]))[0].value
        for row in rows
        for response in row.responses
    ]
    return list(zip(values[::2], values[1::2], strict=True))


def _peer(rows: Sequence[Pair], arguments: Arguments) -> Scores:
    """The scores of the package's own command, in its own environment."""
    folder = arguments.output / "exported"
    if not folder.exists():
        export_model(
            arguments.model,
            folder,
            revision=None,
            layout="sequence-classification",
            dtype="float32",
        )
    data, scores = arguments.output / "rows.jsonl", arguments.output / "peer.json"
    lines = [json.dumps(_conversations(row)) for row in rows]
    write_text_atomically(data, "\n".join(lines) + "\n")
    subprocess.run([arguments.peer_python, _PEER, data, folder, scores, str(_LONGEST)], check=True)
    found = json.loads(scores.read_bytes())
    return Scores([tuple(pair) for pair in found["rewards"]], found["seconds"])


def _conversations(row: Pair) -> dict[str, list[dict[str, str]]]:
    """The row as the package reads preferences: whole conversations that end in the response."""
    question = {"role": "user", "content": row.question}
    chosen, rejected = (
        {"role": "assistant", "content": text} for text in (row.chosen, row.rejected)
    )
    return {"chosen": [question, chosen], "rejected": [question, rejected]}


def _speeds(ways: dict[str, Scores], rows: Sequence[Pair]) -> list[str]:
    slowest = max(one.seconds for one in ways.values())
    return [
        "| how | seconds | rows/s | times the slowest | right |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {one.seconds:.0f} | {len(rows) / one.seconds:.2f} "
            f"| {slowest / one.seconds:.2f} | {sum(a > b for a, b in one.rewards)} |"
            for name, one in ways.items()
        ),
    ]


def _differences(
    rows: Sequence[Pair],
    ours: Sequence[tuple[float, float]],
    theirs: Sequence[tuple[float, float]],
    *,
    name: str,
) -> list[str]:
    """The largest difference of a reward, and a line for each row with another winner."""
    largest = max(
        abs(x - y) for a, b in zip(ours, theirs, strict=True) for x, y in zip(a, b, strict=True)
    )
    close = sum(abs(chosen - rejected) <= _MARGIN for chosen, rejected in ours)
    other = [
        f"- {row.id}: ours {a[0]:.6f} and {a[1]:.6f}, theirs {b[0]:.6f} and {b[1]:.6f}"
        for row, a, b in zip(rows, ours, theirs, strict=True)
        if (a[0] > a[1]) != (b[0] > b[1])
    ]
    head = (
        f"Shared prompts against {name}: rewards differ by {largest:.1e} at most; the winner "
        f"differs in {len(other)} of {len(rows)} rows; {close} margins are within {_MARGIN:g}."
    )
    return [head, *other]


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
