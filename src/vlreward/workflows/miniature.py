"""`vlreward miniature`: small models on the miniature world, a base and a reward model from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vlreward.durable import write_json_atomically, write_manifest, write_text_atomically
from vlreward.errors import ConfigError, require
from vlreward.modeling.folders import CARD_FILE
from vlreward.progress import Progress
from vlreward.recipes.miniature import miniature, miniature_base
from vlreward.runs import only_writer
from vlreward.scoring import RewardModel
from vlreward.sources.write import write_parquet
from vlreward.training.pretraining import pretrain
from vlreward.training.run import train
from vlreward.workflows.cards import base_card, reward_card
from vlreward.workflows.world_exam import HEADINGS, ExamResult, WorldExam
from vlreward.workflows.world_report import write_world_report
from vlreward.world.cases import make_cases
from vlreward.world.catalogue import FAMILIES
from vlreward.world.preferences import make_pairs, make_text_pairs
from vlreward.world.texts import TEXT_FAMILIES
from vlreward.world.topics import Split

_NUM_VALIDATION_PICTURES = 153
_NUM_VALIDATION_TEXT_PAIRS = 60
_NUM_EXAM_PICTURES = 3060
_NUM_EXAM_TEXT_PAIRS = 1800
_EXAM_SEED = 0

_READ_LESS_SURELY = (
    "counting",
    "overlapping circles",
    "crossing lines",
    "circled letters",
    "bar charts",
    "line charts",
    "pie charts",
    "tables",
    "triangle angles",
)
THOROUGH_FAMILIES = (*FAMILIES, *_READ_LESS_SURELY)
"""Twice as many pictures of what the base reads less surely."""
THOROUGH_TEXT_FAMILIES = (
    *TEXT_FAMILIES,
    *("text arithmetic",) * 8,
    *("text sorting", "text instructions", "text harmful"),
)
"""More of what takes more examples: sums first, then order, instructions and refusals."""


def make_base(output: Path, *, seed: int, command: Sequence[str]) -> Path:
    """Trains the base model and writes its card; returns its folder."""
    folder = pretrain(miniature_base(output=str(output), seed=seed), command=command)
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    card = base_card(metrics["validation"], command=command)
    add_card(folder, card)
    return folder


def make_reward_model(
    output: Path,
    *,
    base: str,
    num_pictures: int,
    num_text_pairs: int,
    batch_size: int = 32,
    families: Sequence[str] = tuple(FAMILIES),
    text_families: Sequence[str] = tuple(TEXT_FAMILIES),
    seed: int,
    command: Sequence[str],
) -> RewardModel:
    """Trains a reward model from a base on newly drawn pairs; run again, it resumes.

    The families take turns in the order given; one that is named twice gets twice as many pairs.
    """
    train_file, validation_file = (output / "data" / f"{name}.parquet" for name in ("train", "val"))
    for key, value in (("num_pictures", num_pictures), ("num_text_pairs", num_text_pairs)):
        require(value >= 1, place=key, value=value, expected="1 or more")
    drawn = {
        "num_pictures": num_pictures,
        "num_text_pairs": num_text_pairs,
        "families": list(families),
        "text_families": list(text_families),
        "seed": seed,
    }
    with only_writer(output):
        if not is_drawn(output / "data" / "drawn.json", drawn):
            _write_pairs(
                train_file,
                split="train",
                num_pictures=num_pictures,
                num_text_pairs=num_text_pairs,
                families=families,
                text_families=text_families,
                seed=seed,
            )
            _write_pairs(
                validation_file,
                split="val",
                num_pictures=_NUM_VALIDATION_PICTURES,
                num_text_pairs=_NUM_VALIDATION_TEXT_PAIRS,
                seed=seed,
            )
            write_json_atomically(output / "data" / "drawn.json", drawn)
    config = miniature(
        data=str(train_file),
        validation=str(validation_file),
        output=str(output),
        base=base,
        batch_size=batch_size,
        seed=seed,
    )
    return train(config, command=command)


def measure(model: RewardModel, output: Path, *, command: Sequence[str]) -> None:
    """Examines a reward model of a run at length, shows it, and writes its card."""
    result = examine(
        model,
        output,
        name="miniature",
        num_pictures=_NUM_EXAM_PICTURES,
        num_text_pairs=_NUM_EXAM_TEXT_PAIRS,
    )
    show(result, Console())
    add_card(output / "model", reward_card(result, command=command))


def examine(
    model: RewardModel,
    output: Path,
    *,
    name: str,
    num_pictures: int,
    num_text_pairs: int,
    others: Mapping[str, RewardModel] | None = None,
) -> ExamResult:
    """Measures a model on unseen pairs; writes exam.json and report.html into `output`.

    The report shows what it and the others say of the cases.
    """
    exam = WorldExam.draw(num_pictures=num_pictures, num_text_pairs=num_text_pairs, seed=_EXAM_SEED)
    with (
        Progress() as progress,
        progress.phase("Unseen pairs", total=exam.num_comparisons) as advance,
    ):
        result = exam.take(model, advance=advance)
    write_json_atomically(output / "exam.json", result.as_fields())
    write_world_report(
        output / "report.html",
        name=name,
        result=result,
        scorers={name: model, **(others or {})},
        cases=make_cases(output / "cases"),
        curves=output / "curves.png",
    )
    return result


def show(result: ExamResult, console: Console) -> None:
    """Prints the exam's rows as a table."""
    table = Table(title="Unseen pairs: share ordered rightly, with 95 % intervals")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
    for row in result.rows:
        table.add_row(*row.cells)
    console.print(table)


def add_card(folder: Path, card: str) -> None:
    """Puts a card into a model's folder, whose manifest then holds it too."""
    write_text_atomically(folder / CARD_FILE, card)
    write_manifest(folder)


def is_drawn(note: Path, wanted: Mapping[str, object]) -> bool:
    """Whether the run's pairs are there; raises ConfigError if they are other ones."""
    if not note.exists():
        return False
    for key, value in json.loads(note.read_text(encoding="utf-8")).items():
        if wanted[key] != value:
            raise ConfigError(
                "run-drawn-otherwise",
                value=wanted[key],
                place=key,
                expected=f"{value}, as {note} says",
                mend="Give that, or another output folder.",
            )
    return True


def _write_pairs(
    path: Path,
    *,
    split: Split,
    num_pictures: int,
    num_text_pairs: int,
    families: Sequence[str] = tuple(FAMILIES),
    text_families: Sequence[str] = tuple(TEXT_FAMILIES),
    seed: int,
) -> None:
    pairs = make_pairs(num_pictures=num_pictures, seed=seed, split=split, families=families)
    texts = make_text_pairs(
        num_pairs=num_text_pairs, seed=seed, split=split, families=text_families
    )
    write_parquet([one.pair for one in chain(pairs, texts)], path)
