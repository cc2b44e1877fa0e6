"""Scores pairs by the `rewardbench` package's own command, on the CPU; runs in its environment.

    peer/bin/python rewardbench_scores.py ROWS.jsonl MODEL SCORES.json LONGEST

The package's pipeline sends its inputs to "cuda" by name; that one word is read as "cpu" here.
The seconds are those of its pipeline's calls (tokens and forward passes), without loading.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rewardbench.models import pipeline
from rewardbench.rewardbench import Args, rewardbench
from transformers import BatchEncoding


def main(rows: str, model: str, scores: str, longest: int) -> None:
    """Runs the command as it is, and keeps its scores and the seconds of its pipeline."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    _stay_on_the_cpu()
    seconds = _time_the_pipeline()
    path = os.path.abspath(model)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        rewardbench(
            Args(
                dataset=rows,
                load_json=True,
                model=path,
                not_quantized=True,
                torch_dtype="float32",
                batch_size=8,
                max_length=longest,
                output_dir=place,
                save_all=True,
            )
        )
    found = _saved_scores(f"{path}_outputs.jsonl")
    Path(scores).write_text(json.dumps({"rewards": found, "seconds": sum(seconds)}))


def _stay_on_the_cpu() -> None:
    original = BatchEncoding.to

    def to(self: BatchEncoding, device: Any, **more: Any) -> BatchEncoding:
        return original(self, "cpu" if device == "cuda" else device, **more)

    BatchEncoding.to = to


def _time_the_pipeline() -> list[float]:
    """A list that grows by the seconds of every call."""
    seconds: list[float] = []
    original = pipeline.RewardBenchPipeline.__call__

    def timed(self: Any, *arguments: Any, **more: Any) -> Any:
        started = time.monotonic()
        found = original(self, *arguments, **more)
        seconds.append(time.monotonic() - started)
        return found

    pipeline.RewardBenchPipeline.__call__ = timed
    return seconds


def _saved_scores(path: str) -> list[tuple[float, float]]:
    """The package joins its folder and an absolute model path to the latter."""
    lines = Path(path).read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    Path(path).unlink()
    return [(row["scores_chosen"], row["scores_rejected"]) for row in rows]


if __name__ == "__main__":
    rows, model, scores = (os.path.abspath(path) for path in sys.argv[1:4])
    main(rows, model, scores, int(sys.argv[4]))
