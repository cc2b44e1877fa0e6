"""`vlreward demo`: train on drawings, measure with true and shuffled pictures, score a new one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from vlreward.durable import write_json_atomically
from vlreward.recipes.drawings import drawings
from vlreward.records import PreferencePair
from vlreward.runs import only_writer
from vlreward.scoring import RewardModel
from vlreward.sources.write import write_parquet
from vlreward.training.run import train
from vlreward.training.validation import (
    Validation,
    describe_validation,
    validate,
    with_shuffled_pictures,
)
from vlreward.world.drawings import make_case, make_drawings

_FAMILIES = ("colour", "shape")  # counting is learnt too, but takes three times as long
_SEED = 0
_CASE_SEED = 7


def run_demo(
    folder: Path,
    *,
    command: Sequence[str],
    num_train_pictures: int = 2700,
    num_validation_pictures: int = 600,
) -> None:
    """Runs the quick start in a folder; run again, it resumes or shows the finished result."""
    console = Console()
    started = time.monotonic()
    data, validation = folder / "data" / "train.parquet", folder / "data" / "validation.parquet"
    held_out = _draw(num_validation_pictures, split="val")
    with only_writer(folder):
        if not (data.exists() and validation.exists()):
            write_parquet(_draw(num_train_pictures, split="train"), data)
            write_parquet(held_out, validation)
    config = drawings(data=str(data), validation=str(validation), output=str(folder))
    model = train(config, command=command)
    with_true = validate(model, held_out)
    with_shuffled = validate(model, with_shuffled_pictures(held_out, seed=_SEED))
    write_json_atomically(
        folder / "demo.json",
        {
            "true_pictures": describe_validation(with_true),
            "shuffled_pictures": describe_validation(with_shuffled),
        },
    )
    console.print(_table(with_true, with_shuffled))
    _show_case(console, model, folder)
    console.print(
        f"\nThe model lies in {folder / 'model'}, its curves in {folder / 'curves.png'}; "
        f"{(time.monotonic() - started) / 60:.1f} minutes.",
        highlight=False,
    )


def _draw(num_pictures: int, *, split: Literal["train", "val"]) -> list[PreferencePair]:
    pairs = make_drawings(num_pictures=num_pictures, seed=_SEED, split=split)
    return [pair for pair in pairs if pair.origin.task in _FAMILIES]


def _table(with_true: Validation, with_shuffled: Validation) -> Table:
    table = Table(title="Unseen pairs that only the picture decides: share ordered rightly")
    for heading in ("question", "pairs", "accuracy [95 %]", "pictures shuffled [95 %]"):
        table.add_column(heading, justify="left" if heading == "question" else "right")
    shuffled = {result.task: result for result in with_shuffled.by_task}
    rows = [(r, shuffled.get(r.task)) for r in with_true.by_task]
    for result, control in [*rows, (with_true.overall, with_shuffled.overall)]:
        cells = [str(r.share) if r else "—" for r in (result, control)]
        table.add_row(result.task, str(result.share.num_all), *cells)
    return table


def _show_case(console: Console, model: RewardModel, folder: Path) -> None:
    """Scores one new drawing and both answers to it."""
    pair = make_case(folder / "case", seed=_CASE_SEED, family="colour")
    [scores] = model.score_many([(pair.prompt, [pair.chosen, pair.rejected])])
    console.print(f"\nA new picture, {pair.prompt.pictures[0].path}:", highlight=False)
    question = "".join(p for p in pair.prompt.messages[-1].content if isinstance(p, str))
    console.print(f"  {question.strip()}", highlight=False)
    for response, score in zip((pair.chosen, pair.rejected), scores, strict=True):
        console.print(f"  {score.value:+8.3f}  {response.text}", highlight=False)
