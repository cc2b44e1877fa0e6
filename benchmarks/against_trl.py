"""A text reward model trained by us and by TRL's RewardTrainer: accuracy, time and memory.

    python3 -m venv peers/trl && peers/trl/bin/pip install torch==2.13.0 trl==1.16.0
    python benchmarks/judging/text_models.py ../shared/data/text/pairs.jsonl --output runs/text
    python benchmarks/against_trl.py runs/text/base ../shared/data/text/pairs.jsonl \
        --peer-python peers/trl/bin/python --output runs/against-trl

For each seed the same pairs of at most 256 tokens, in the same order, from the same weights and
head, with the same optimizer and rate, in float32. Held-out pairs are scored by our code for both;
intervals are Wilson's. As many threads each as OMP_NUM_THREADS says, 1 if it does not. Run again,
what is trained is not trained again.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import tyro
from train_throughput import Run, Step, call, num_threads, steps_of_run

from vlreward import configuration
from vlreward.collation.config import CollationConfig
from vlreward.collation.ordering import order_batches
from vlreward.durable import write_json_atomically, write_text_atomically
from vlreward.modeling.checkpoints import load_checkpoint, save_checkpoint
from vlreward.modeling.config import ModelConfig
from vlreward.modeling.encoders import encoder_for
from vlreward.records import Message, PreferencePair
from vlreward.scoring import RewardModel
from vlreward.sources.read import load_preferences
from vlreward.sources.spec import parse_source
from vlreward.training.config import StageConfig, TrainConfig
from vlreward.training.validation import Share

_PEER = Path(__file__).resolve().parent / "interop" / "train_trl.py"
_MOST_TOKENS = 256
_BATCH_SIZE = 16
_RATE = 3e-5


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What is trained on what."""

    base: tyro.conf.Positional[Path]
    """A text model's folder."""
    pairs: tyro.conf.Positional[Path]
    """Pairs of text with `split`."""
    peer_python: Path
    """Python of the environment that TRL is installed in."""
    output: Path = Path("runs/against-trl")
    """Folder of rows, models and the table."""
    num_pairs: int = 800
    """Pairs to train on."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the pairs, their order, and the head."""


class Trained(NamedTuple):
    """A run, and how many of the held-out pairs its model orders rightly."""

    run: Run
    accuracy: Share


def main(arguments: Arguments) -> None:
    """Trains both for each seed and prints a table."""
    lines = [
        "| seed | trainer | held out | s a step | pairs/s | peak GiB | first losses differ |",
        "|---|---|---|---|---|---|---|",
    ]
    pairs, held_out = (
        _short(load_preferences([parse_source(f"{arguments.pairs}#{split}")]).pairs, arguments.base)
        for split in ("train", "val")
    )
    totals: dict[str, list[Share]] = {}
    for seed in arguments.seeds:
        both = _train_both(seed, pairs, held_out, arguments)
        for name, trained in both.items():
            totals.setdefault(name, []).append(trained.accuracy)
            lines.append(_line(seed, name, trained, first=both["vlreward"].run))
    for name, shares in totals.items():
        whole = Share(sum(s.num_right for s in shares), sum(s.num_all for s in shares))
        lines.append(f"| all | {name} | {whole} | | | | |")
    text = f"{num_threads()} thread(s), {arguments.num_pairs} pairs.\n\n" + "\n".join(lines) + "\n"
    write_text_atomically(arguments.output / "table.md", text)
    print(text)


def _short(pairs: Sequence[PreferencePair], base: Path) -> list[PreferencePair]:
    """The pairs of which both responses fit, prompt included."""
    checkpoint = load_checkpoint(base, dtype=torch.float32, new_head="linear", seed=0)
    encoder = encoder_for(checkpoint, CollationConfig())
    short = []
    for pair in pairs:
        tree = encoder.encode(pair.prompt, [pair.chosen, pair.rejected])
        if len(tree.prefix) + max(map(len, tree.branches)) <= _MOST_TOKENS:
            short.append(pair)
    return short


def _train_both(
    seed: int,
    pairs: Sequence[PreferencePair],
    held_out: Sequence[PreferencePair],
    arguments: Arguments,
) -> dict[str, Trained]:
    folder = (arguments.output / f"{arguments.num_pairs}-pairs-seed-{seed}").resolve()
    chosen = random.Random(seed).sample(list(pairs), arguments.num_pairs)
    start = folder / "start"
    if not start.exists():
        checkpoint = load_checkpoint(
            arguments.base, dtype=torch.float32, new_head="linear", seed=seed
        )
        save_checkpoint(checkpoint, start, layout="sequence-classification")
    _write_rows(chosen, folder / "ours.jsonl")
    batches = order_batches(
        [pair.prompt for pair in chosen], batch_size=_BATCH_SIZE, seed=seed, epoch=0
    )
    _write_rows([chosen[index] for batch in batches for index in batch], folder / "theirs.jsonl")
    runs = {
        "vlreward": (_run_ours(seed, folder), folder / "ours" / "model"),
        "TRL": (_run_theirs(folder, arguments.peer_python), folder / "theirs"),
    }
    return {name: Trained(run, _accuracy(model, held_out)) for name, (run, model) in runs.items()}


def _write_rows(pairs: Sequence[PreferencePair], path: Path) -> None:
    """Both trainers' rows, in TRL's conversational form."""
    lines = [
        json.dumps(
            {
                "prompt": [{"role": m.role, "content": _text(m)} for m in p.prompt.messages],
                "chosen": [{"role": "assistant", "content": p.chosen.text}],
                "rejected": [{"role": "assistant", "content": p.rejected.text}],
            }
        )
        for p in pairs
    ]
    write_text_atomically(path, "\n".join(lines) + "\n")


def _text(message: Message) -> str:
    return "".join(part for part in message.content if isinstance(part, str))


def _run_ours(seed: int, folder: Path) -> Run:
    """`vlreward train`, unless it has run."""
    config = TrainConfig(
        output=str(folder / "ours"),
        data=(parse_source(str(folder / "ours.jsonl")),),
        model=ModelConfig(path=str(folder / "start"), dtype="float32"),
        collation=CollationConfig(max_length=2 * _MOST_TOKENS),
        stages=(
            StageConfig(
                name="text",
                epochs=1,
                batch_size=_BATCH_SIZE,
                learning_rate=_RATE,
                warmup_ratio=0.0,
            ),
        ),
        seed=seed,
    )
    file = folder / "ours.yaml"
    file.write_text(configuration.to_yaml(config))
    program = Path(sys.executable).with_name("vlreward")
    peak = _once(folder / "ours.json", program, "train", "--from", file, log=folder / "ours.log")
    return Run("vlreward", steps_of_run(folder / "ours"), peak)


def _run_theirs(folder: Path, python: Path) -> Run:
    """TRL's trainer, unless it has run."""
    notes = folder / "theirs.steps.jsonl"
    peak = _once(
        folder / "theirs.json", python.absolute(), _PEER,
        folder / "start", folder / "theirs.jsonl", folder / "theirs",
        "--batch-size", _BATCH_SIZE, "--learning-rate", _RATE,
        "--max-length", 2 * _MOST_TOKENS, "--threads", num_threads(), "--note-steps", notes,
        log=folder / "theirs.log",
    )  # fmt: skip
    return Run("TRL", [Step(**json.loads(line)) for line in notes.read_text().splitlines()], peak)


def _once(mark: Path, *command: object, log: Path) -> float:
    """The peak of a program's memory, from the mark it left if it has run to its end."""
    if not mark.exists():
        write_json_atomically(mark, {"peak_gib": call(*command, log=log)})
    return float(json.loads(mark.read_text())["peak_gib"])


def _accuracy(folder: Path, pairs: Sequence[PreferencePair]) -> Share:
    model = RewardModel.load(folder, dtype="float32")
    scores = model.score_many((p.prompt, [p.chosen, p.rejected]) for p in pairs)
    return Share.of([chosen.value > rejected.value for chosen, rejected in scores])


def _line(seed: int, name: str, trained: Trained, *, first: Run) -> str:
    run = trained.run
    apart = [abs(a.loss - b.loss) for a, b in zip(first.steps, run.steps, strict=True)]
    return (
        f"| {seed} | {name} | {trained.accuracy} | {run.seconds_a_step:.2f} "
        f"| {_BATCH_SIZE / run.seconds_a_step:.2f} | {run.peak_gib:.2f} | {max(apart[:3]):.1e} |"
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
