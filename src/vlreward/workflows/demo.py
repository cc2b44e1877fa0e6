"""`vlreward demo`: a reward model from the shipped base in minutes, measured and shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vlreward.scoring import RewardModel
from vlreward.workflows.miniature import examine, make_reward_model, show
from vlreward.workflows.world_exam import judge_pairs
from vlreward.world.cases import make_cases

_NAME = "this demo"
_SHIPPED = "miniature"


def run_demo(
    folder: Path,
    *,
    command: Sequence[str],
    base: str = "miniature-base",
    num_pictures: int = 4000,
    num_text_pairs: int = 2000,
    num_exam_pictures: int = 459,
    num_exam_text_pairs: int = 459,
) -> None:
    """Runs the quick start in a folder; run again, it resumes or shows the finished result."""
    console = Console()
    started = time.monotonic()
    shipped = RewardModel.load(_SHIPPED)
    model = make_reward_model(
        folder,
        base=base,
        num_pictures=num_pictures,
        num_text_pairs=num_text_pairs,
        seed=0,
        command=command,
    )
    result = examine(
        model,
        folder,
        name=_NAME,
        num_pictures=num_exam_pictures,
        num_text_pairs=num_exam_text_pairs,
        others={_SHIPPED: shipped},
    )
    show(result, console)
    _show_cases(console, {_NAME: model, _SHIPPED: shipped}, folder / "cases")
    _say(
        console,
        f"\nThe model lies in {folder / 'model'}, all about it in {folder / 'report.html'}; "
        f"{(time.monotonic() - started) / 60:.1f} minutes.",
    )


def _show_cases(console: Console, models: dict[str, RewardModel], folder: Path) -> None:
    """Two answers to each of two new pictures, both right, with what each model gives them."""
    for case in make_cases(folder):
        question = "".join(p for p in case.prompt.messages[-1].content if isinstance(p, str))
        _say(console, f"\n{case.prompt.pictures[0].path}: {question}")
        judged = [judge_pairs(model, [case])[0] for model in models.values()]
        for text, rewards in (
            (case.chosen.text, [one.chosen for one in judged]),
            (case.rejected.text, [one.rejected for one in judged]),
        ):
            said = ", ".join(
                f"{name} {reward:+.2f}" for name, reward in zip(models, rewards, strict=True)
            )
            _say(console, f"  {said}: {text}")


def _say(console: Console, line: str) -> None:
    """Prints a line as it is, however long."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
