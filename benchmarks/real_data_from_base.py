"""Held-out accuracy on real pairs of the shipped miniature models.

    python benchmarks/real_data_from_base.py ../shared/data --output runs/real-from-base

First the shipped reward model on pairs unlike all that it has seen, then one trained from the
shipped base on the training rows of blindtest. Prints a table each: accuracy by task with its 95 %
interval, and the same with each prompt's pictures traded for another pair's of the same task. The
run resumes where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from vlreward import markdown
from vlreward.collation.config import CollationConfig
from vlreward.durable import write_text_atomically
from vlreward.modeling.config import ModelConfig
from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.sources.read import load_preferences
from vlreward.sources.spec import parse_source
from vlreward.training.config import OptimizerConfig, StageConfig, TrainConfig
from vlreward.training.run import train
from vlreward.training.validation import TaskResult, validate, with_shuffled_pictures

_UNTRAINED = ("blindtest", "puzzlevqa", "mathvision")
_EPOCHS = {"blindtest": 30}
_COLLATION = CollationConfig(max_length=1024, max_pixels=168 * 168, token_budget=4096)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Where the pairs are, and where the runs go."""

    data: tyro.conf.Positional[Path]
    """Folder with blindtest/, puzzlevqa/ and mathvision/, each with a pairs.jsonl."""
    output: Path = Path("runs/real-from-base")
    """Folder of the runs and tables."""
    base: str = "miniature-base"
    """What is trained from."""
    model: str = "miniature"
    """The reward model that is measured as it is."""


def main(arguments: Arguments) -> None:
    """Prints one table for each data set and run."""
    untrained = RewardModel.load(arguments.model, collation=_COLLATION)
    for name in _UNTRAINED:
        _report(untrained, name, "untrained", arguments=arguments)
    for name, epochs in _EPOCHS.items():
        model = train(_config(arguments, name, epochs=epochs))
        _report(model, name, f"trained {epochs} epochs", arguments=arguments)


def _config(arguments: Arguments, name: str, *, epochs: int) -> TrainConfig:
    file = arguments.data / name / "pairs.jsonl"
    return TrainConfig(
        output=str(arguments.output / name),
        data=(parse_source(f"{file}#train"),),
        validation=(parse_source(f"{file}#val"),),
        model=ModelConfig(path=arguments.base, dtype="float32", freeze_vision=False),
        collation=_COLLATION,
        stages=(
            StageConfig(
                name=name, epochs=epochs, batch_size=32, learning_rate=1e-3, warmup_ratio=0.1
            ),
        ),
        optimizer=OptimizerConfig(muon=True, weight_decay=0.01),
        save_every_steps=100,
    )


def _report(model: RewardModel, name: str, how: str, *, arguments: Arguments) -> None:
    """Measures the model on the data set's validation rows; prints and keeps the table."""
    held_out = load_preferences([parse_source(f"{arguments.data / name / 'pairs.jsonl'}#val")])
    lines = [f"{name}, {how}:", "", table_of(model, held_out.pairs), ""]
    path = arguments.output / f"{name} {how}.md".replace(" ", "-")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, "\n".join(lines))
    print("\n".join(lines), flush=True)


def table_of(model: RewardModel, pairs: list[PreferencePair]) -> str:
    """Accuracy by task, and with the pictures of others, as Markdown."""
    found = validate(model, pairs)
    shuffled = with_shuffled_pictures(pairs, seed=0)
    control = {one.task: one for one in validate(model, shuffled).by_task} if shuffled else {}
    rows = [
        (one.task, one.share.num_all, one.share, _cell(control.get(one.task)))
        for one in (*found.by_task, found.overall)
    ]
    return markdown.table(["task", "pairs", "accuracy [95 %]", "pictures shuffled [95 %]"], rows)


def _cell(result: TaskResult | None) -> str:
    return "—" if result is None else str(result.share)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
