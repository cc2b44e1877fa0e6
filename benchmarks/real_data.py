"""Held-out accuracy of small models trained from scratch on real pairs, beside the control.

    python benchmarks/real_data.py ../shared/data --output runs/real

Each data set by itself, then all mixed; each run is one `train(scratch(…))` and resumes where it
stopped. Prints a table by task: accuracy with its 95 % interval on pictures never trained on, and
the same with each prompt's pictures traded for another pair's of the same task.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from vlreward import markdown
from vlreward.durable import write_text_atomically
from vlreward.modeling.config import ScratchConfig
from vlreward.recipes.scratch import scratch
from vlreward.sources.read import load_preferences
from vlreward.sources.spec import parse_source
from vlreward.training.run import train
from vlreward.training.validation import TaskResult, validate, with_shuffled_pictures

_EPOCHS = {"blindtest": 40, "puzzlevqa": 20, "mathvision": 3, "text": 3, "all": 5}
_SIZES = ScratchConfig(
    hidden_size=128,
    num_layers=3,
    num_heads=4,
    vision_hidden_size=96,
    vision_num_layers=3,
    vision_num_heads=4,
)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Where the pairs are, and where the runs go."""

    data: tyro.conf.Positional[Path]
    """Folder with blindtest/, puzzlevqa/, mathvision/ and text/, each with a pairs.jsonl."""
    output: Path = Path("runs/real")
    """Folder of the runs."""
    only: tuple[str, ...] = tuple(_EPOCHS)
    """Which of the runs to make."""


def main(arguments: Arguments) -> None:
    """Trains what is asked for and prints one table a run."""
    for name in arguments.only:
        lines = _run(name, arguments)
        write_text_atomically(arguments.output / name / "table.md", "\n".join(lines) + "\n")
        print("\n".join(lines), flush=True)


def _run(name: str, arguments: Arguments) -> list[str]:
    folders = [one for one in _EPOCHS if one != "all"] if name == "all" else [name]
    files = [arguments.data / folder / "pairs.jsonl" for folder in folders]
    model = train(
        scratch(
            data=[f"{file}#train" for file in files],
            validation=[f"{file}#val" for file in files],
            output=str(arguments.output / name),
            epochs=_EPOCHS[name],
            batch_size=16,
            sizes=_SIZES,
        )
    )
    held_out = load_preferences([parse_source(f"{file}#val") for file in files]).pairs
    found = validate(model, held_out)
    shuffled = with_shuffled_pictures(held_out, seed=0)
    control = {one.task: one for one in validate(model, shuffled).by_task} if shuffled else {}
    lines = [f"Trained on {name}, {_EPOCHS[name]} epochs:", ""]
    rows = [
        (one.task, one.share.num_all, one.share, _cell(control.get(one.task)))
        for one in found.by_task
    ]
    rows.append(("all", found.overall.share.num_all, found.overall.share, ""))
    header = ["task", "pairs", "accuracy [95 %]", "pictures shuffled [95 %]"]
    return [*lines, markdown.table(header, rows), ""]


def _cell(result: TaskResult | None) -> str:
    return "—" if result is None else str(result.share)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
