"""What tests of evaluation share: the world's pairs in a file, judges that are asked over HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vlreward.evaluation.config import EvaluateConfig
from vlreward.evaluation.scorers.config import JudgeConfig, ScorerConfig
from vlreward.evaluation.spec import evaluation
from vlreward.generation.config import EndpointConfig
from vlreward.sources.write import write_parquet
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.preferences import WorldPair, make_pairs, make_text_pairs

COMMAND = ["vlreward", "eval"]


@cache
def pairs() -> tuple[WorldPair, ...]:
    """Unseen pairs about truth, all of other content."""
    drawn = (
        *make_pairs(num_pictures=24, seed=5, split="test"),
        *make_text_pairs(num_pairs=12, seed=5, split="test"),
    )
    found: dict[str, WorldPair] = {}
    for one in drawn:
        if one.rejected == "wrong" and one.pair.swapped().id not in found:
            found.setdefault(one.pair.id, one)
    return tuple(found.values())


@cache
def truth() -> WorldTruth:
    return WorldTruth(pairs())


def write_pairs(path: Path, *, number: int | None = None) -> Path:
    write_parquet([one.pair for one in pairs()[:number]], path)
    return path


def judge_at(base_url: str, *, name: str = "", **settings: Any) -> ScorerConfig:
    """The world's judge, which is right unless it is told to err."""
    asked = {one: settings.pop(one) for one in ("form", "ask", "order") if one in settings}
    given: dict[str, Any] = {
        "max_attempts": 1,
        "max_output_tokens": 100,
        "dollars_per_million_input_tokens": 2.5,
        "dollars_per_million_output_tokens": 10.0,
        "tokens_per_picture": 100,
        **settings,
    }
    endpoint = EndpointConfig(base_url=base_url, model="world-judge", **given)
    return ScorerConfig(name=name, judge=JudgeConfig(endpoint=endpoint, **asked))


def config_of(
    data: Path, *models: str | ScorerConfig, output: Path, **settings: Any
) -> EvaluateConfig:
    return evaluation(models=models, data=[str(data)], output=str(output), **settings)


def results_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def only_result(folder: Path) -> dict[str, Any]:
    [found] = results_of(folder)["results"]
    assert isinstance(found, dict)
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def pair_rows(number: int, **changes: Any) -> list[dict[str, Any]]:
    """Rows of pairs without pictures."""
    return [
        {
            "id": f"row-{index}",
            "source": "own",
            "task": "even" if index % 2 == 0 else "odd",
            "images": [],
            "prompt": f"How many is {index} and 1?",
            "chosen": f"{index + 1}.",
            "rejected": f"{index + 2}.",
            "label_type": "template",
            **changes,
        }
        for index in range(number)
    ]


def write_lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path
