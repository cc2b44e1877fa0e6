"""Training side by side with LLaMA-Factory and ms-swift: speed, memory, and the same losses.

    python benchmarks/train_throughput.py --peers benchmarks/interop/peers

One run: the same random Qwen2.5-VL with the vocabulary of 151,936 and the same value head, the same
pairs in the same order, AdamW with the same settings, float32, vision encoder frozen, each trainer
by its own command in its own environment (benchmarks/interop/README.md says how they are made).
On a GPU: `--cases 3b-448 --dtype bfloat16`, with ms-swift alone beside ours.
Beside our packed rows, the same with pictures encoded ahead, and with plain padded rows. A step's
time is that between two steps' ends: reading, pictures and the optimizer count, starting does not,
nor does encoding ahead. Memory is the most that the process held. Losses are laid over each other
in `losses.png`.

As many threads each as OMP_NUM_THREADS says, 1 if it does not.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import tyro

from vlreward import configuration
from vlreward.collation.ordering import order_batches
from vlreward.durable import write_bytes_atomically, write_text_atomically
from vlreward.plotting import png_bytes
from vlreward.recipes.skywork_vl import skywork_vl
from vlreward.training.config import PictureCacheConfig, StageConfig

_SCRIPTS = Path(__file__).resolve().parent / "interop"
_WARM_UP_STEPS = 2
_RATE = 1e-4


class Case(NamedTuple):
    """A model and pairs to train it on."""

    name: str
    hidden_size: int
    num_layers: int
    vision_size: int
    vision_depth: int
    pixels: int
    """Side of the square pictures."""
    num_answers: int
    """To a prompt; the first is preferred to each of the others."""
    num_words: tuple[int, int]
    """Of an answer."""
    batch_size: int
    """Pairs a step."""


CASES = (
    Case("6m-224", 256, 6, 192, 4, 224, 2, (30, 90), 4),
    Case("6m-224-long", 256, 6, 192, 4, 224, 2, (200, 400), 4),
    Case("6m-224-eight", 256, 6, 192, 4, 224, 8, (30, 90), 7),
    Case("31m-448", 512, 8, 384, 8, 448, 2, (30, 90), 4),
    Case("31m-448-eight", 512, 8, 384, 8, 448, 8, (30, 90), 7),
)
GPU_CASES = (Case("3b-448", 2048, 36, 1296, 32, 448, 2, (30, 90), 8),)
"""Of Qwen2.5-VL-3B's shape."""


class Step(NamedTuple):
    """What a trainer said of a step: its loss, and the clock in seconds at its end."""

    loss: float
    time: float


class Run(NamedTuple):
    """A trainer's steps and the most memory it held."""

    trainer: str
    steps: list[Step]
    peak_gib: float

    @property
    def seconds_a_step(self) -> float:
        """The median, the first steps left out."""
        times = [step.time for step in self.steps][_WARM_UP_STEPS - 1 :]
        return statistics.median(b - a for a, b in pairwise(times))


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What is measured."""

    peers: Path
    """The folder of the environments `lf` and `sw`."""
    cases: tuple[str, ...] = tuple(case.name for case in CASES)
    """Which models and pairs."""
    trainers: tuple[str, ...] = (
        "vlreward",
        "vlreward, pictures encoded ahead",
        "vlreward padded",
        "ms-swift",
        "LLaMA-Factory",
    )
    """Who trains; on a GPU `vlreward, flex` may, too."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights."""
    num_steps: int = 8
    """Optimizer steps of each, of which two are not timed."""
    output: Path = Path("runs/train-throughput")
    """Folder of models, runs, the table and the plots."""


def main(arguments: Arguments) -> None:
    """Measures every trainer on every case and prints a table."""
    text = [f"{num_threads()} thread(s); {arguments.num_steps} steps."]
    for case in (*CASES, *GPU_CASES):
        if case.name not in arguments.cases:
            continue
        folder = (arguments.output / case.name).resolve()
        _prepare(case, folder, arguments)
        runs = []
        for trainer in arguments.trainers:
            runs.append(_TRAINERS[trainer](trainer, case, folder, arguments))
            print(f"{case.name}, {trainer}: {runs[-1].seconds_a_step:.2f} s a step", flush=True)
        text += ["", f"### {case.name}", "", *_table(case, runs)]
        _draw_losses(runs, folder / "losses.png")
        write_text_atomically(arguments.output / "table.md", "\n".join(text) + "\n")
    print("\n".join(text))


def _prepare(case: Case, folder: Path, arguments: Arguments) -> None:
    """The model with its head in both layouts; the pairs, and for others in our order."""
    python = str((arguments.peers / "lf/bin/python").absolute())
    base = folder / "base"
    shutil.rmtree(folder, ignore_errors=True)
    call(
        python, _SCRIPTS / "make_tiny_qwen.py", base, "--tied",
        "--hidden-size", case.hidden_size, "--num-layers", case.num_layers,
        "--vision-size", case.vision_size, "--vision-depth", case.vision_depth,
    )  # fmt: skip
    call(python, _SCRIPTS / "add_value_head.py", base, folder / "with-head")
    call(python, _SCRIPTS / "add_value_head.py", base, folder / "with-score", "--as-score")
    call(
        python, _SCRIPTS / "make_pairs.py", folder / "pairs",
        "--num-pairs", case.batch_size * arguments.num_steps, "--size", case.pixels,
        "--answers", case.num_answers, "--words", *case.num_words,
    )  # fmt: skip
    _reorder(case, folder / "pairs", folder / "ordered")


def _reorder(case: Case, source: Path, target: Path) -> None:
    """Writes the pairs in the order in which our trainer takes them."""
    shutil.copytree(source, target)
    rows = json.loads((source / "pairs.json").read_text())
    lines = (source / "swift.jsonl").read_text().splitlines(keepends=True)
    prompts = [row["images"][0] for row in rows]
    batches = order_batches(prompts, batch_size=case.batch_size, seed=0, epoch=0)
    order = [index for batch in batches for index in batch]
    (target / "pairs.json").write_text(json.dumps([rows[index] for index in order]))
    (target / "swift.jsonl").write_text("".join(lines[index] for index in order))


def _run_ours(trainer: str, case: Case, folder: Path, arguments: Arguments) -> Run:
    """`vlreward train`, its steps read from its events."""
    name = trainer.replace(",", "").replace(" ", "-")
    output = folder / name
    config = skywork_vl(
        data=[str(folder / "pairs" / "pairs.json")],
        output=str(output),
        model=str(folder / "with-head"),
    )
    config = replace(
        config,
        stages=(
            StageConfig(
                name="all", epochs=1, batch_size=case.batch_size, learning_rate=_RATE,
                warmup_ratio=0.0,
            ),
        ),
        model=replace(
            config.model,
            dtype=arguments.dtype,
            attention="flex" if "flex" in trainer else "segments",
            layout="padded" if "padded" in trainer else "packed",
            gradient_checkpointing=False,
        ),
        pictures=PictureCacheConfig(keep="disk" if "encoded" in trainer else "nowhere"),
    )  # fmt: skip
    file = folder / f"{name}.yaml"
    file.write_text(configuration.to_yaml(config))
    shutil.rmtree(output, ignore_errors=True)
    program = Path(sys.executable).with_name("vlreward")
    peak = call(program, "train", "--from", file, log=folder / f"{name}.log")
    return Run(trainer, steps_of_run(output), peak)


def _run_peer(trainer: str, case: Case, folder: Path, arguments: Arguments) -> Run:
    """A peer's own command, its steps noted by `step_clock`."""
    environment, script, model = {
        "LLaMA-Factory": ("lf", "train_llamafactory.py", "with-head"),
        "ms-swift": ("sw", "train_ms_swift.py", "with-score"),
    }[trainer]
    notes = folder / f"{trainer}.jsonl"
    peak = call(
        (arguments.peers / environment / "bin/python").absolute(), _SCRIPTS / script,
        folder / model, folder / "ordered", folder / trainer,
        "--steps", arguments.num_steps, "--batch-size", case.batch_size,
        "--learning-rate", _RATE, "--threads", num_threads(), "--note-steps", notes,
        *(["--dtype", arguments.dtype] if arguments.dtype != "float32" else []),
        log=folder / f"{trainer}.log", may_fail=notes,
    )  # fmt: skip
    steps = [Step(**json.loads(line)) for line in notes.read_text().splitlines()]
    return Run(trainer, steps, peak)


_TRAINERS: dict[str, Callable[[str, Case, Path, Arguments], Run]] = {
    "vlreward": _run_ours,
    "vlreward, pictures encoded ahead": _run_ours,
    "vlreward, flex": _run_ours,
    "vlreward padded": _run_ours,
    "ms-swift": _run_peer,
    "LLaMA-Factory": _run_peer,
}


def steps_of_run(folder: Path) -> list[Step]:
    """The steps of a run of ours, from its events."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [Step(event["loss"], event["time"]) for event in events if event["kind"] == "step"]


def call(*command: object, log: Path | None = None, may_fail: Path | None = None) -> float:
    """Runs a program to its end; the most memory it held, in GiB.

    Ends this one if it fails, unless it left the file `may_fail`: a trainer that has made its steps
    may still be unable to save a model with tied embeddings.
    """
    words = [str(word) for word in command]
    environment = {**os.environ, "OMP_NUM_THREADS": num_threads(), "HF_HUB_OFFLINE": "1"}
    with open(log or os.devnull, "wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not (may_fail and may_fail.exists()):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}; see {log}")
    return usage.ru_maxrss / 2**20


def num_threads() -> str:
    """How many threads each trainer computes on."""
    return os.environ.get("OMP_NUM_THREADS", "1")


def _table(case: Case, runs: Sequence[Run]) -> list[str]:
    """Speed, memory and losses against the first trainer's."""
    first = runs[0]
    lines = [
        "| trainer | pairs/s | its ratio | peak GiB | loss differs, 3 steps | all steps |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        rate = case.batch_size / run.seconds_a_step
        ratio = run.seconds_a_step / first.seconds_a_step
        apart = [abs(a.loss - b.loss) for a, b in zip(first.steps, run.steps, strict=True)]
        lines.append(
            f"| {run.trainer} | {rate:.2f} | {1 / ratio:.2f} | {run.peak_gib:.2f} "
            f"| {max(apart[:3]):.1e} | {max(apart):.1e} |"
        )
    return lines


def _draw_losses(runs: Sequence[Run], path: Path) -> None:
    """The trainers' losses over each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120)
    axes = figure.subplots()
    for width, run in zip((8.0, 6.5, 5.0, 3.5, 1.5), runs, strict=False):
        numbers = range(1, len(run.steps) + 1)
        axes.plot(numbers, [step.loss for step in run.steps], linewidth=width, label=run.trainer)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    write_bytes_atomically(path, png_bytes(figure))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
