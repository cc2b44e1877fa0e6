"""Training a base model on demonstrations of the miniature world, as a trainer's task."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from vlreward.collation.text import load_tokenizer
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint, save_base_model
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.scratch import build_scratch
from vlreward.progress import Progress
from vlreward.records import Demonstration
from vlreward.runs import Clock, RunFolder
from vlreward.training.config import PretrainConfig
from vlreward.training.loop import StagePlan
from vlreward.training.next_token import NextTokenObjective, answers_right, what_is_shared
from vlreward.training.run import run_in_folder
from vlreward.training.task import Measured
from vlreward.training.validation import TaskResult
from vlreward.world.lessons import Lesson, make_exam, make_lessons, make_text_lessons
from vlreward.world.tokenizer import TOKENIZER_FOLDER


def pretrain(
    config: PretrainConfig, *, command: Sequence[str] = (), clock: Clock = time.time
) -> Path:
    """Trains a base model in `config.output` and returns its folder; resumes what is there.

    Raises as `train` does.
    """

    def prepare(
        _folder: RunFolder, progress: Progress, check_signals: Callable[[], None]
    ) -> PretrainTask:
        checkpoint = _build(config)
        with progress.phase("Drawing pictures") as advance:
            lessons = []
            for lesson in _lessons(config):
                lessons.append(lesson)
                advance()
                check_signals()
        exam = tuple(
            make_exam(num_pictures=config.num_exam_pictures, seed=config.seed, split="val")
        )
        progress.say(f"{len(lessons)} demonstrations to learn from, {len(exam)} questions to pass.")
        return PretrainTask(
            config=config,
            checkpoint=checkpoint,
            lessons=tuple(lessons),
            exam=exam,
        )

    return run_in_folder(config, prepare=prepare, load_finished=Path, command=command, clock=clock)


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainTask:
    """See `task.Task`: demonstrations in, the folder of a base model out."""

    config: PretrainConfig
    checkpoint: RewardCheckpoint
    """Its head is not trained and not written."""
    lessons: tuple[Lesson, ...]
    exam: tuple[Lesson, ...]

    @property
    def objective(self) -> NextTokenObjective:
        """Next tokens of answers."""
        return NextTokenObjective(
            network=self.checkpoint.network,
            encoder=encoder_for(self.checkpoint, self.config.collation),
            token_budget=self.config.collation.token_budget,
        )

    @property
    def items_name(self) -> str:
        """What is counted."""
        return "demonstrations"

    def plan(self, stage: int) -> StagePlan[Demonstration]:
        """The stage's demonstrations; those of one picture stay together."""
        confined = stage < len(self.config.curriculum)
        families = self.config.curriculum[stage] if confined else None
        demonstrations = [
            one.demonstration for one in self.lessons if families is None or one.family in families
        ]
        return StagePlan(
            stage=self.config.stages[stage],
            items=demonstrations,
            groups=[what_is_shared(item) for item in demonstrations],
            seed=self.config.seed + stage,
        )

    def describe_data(self) -> Mapping[str, Any]:
        """How many demonstrations and questions there are."""
        ids = "".join(one.demonstration.id for one in self.lessons)
        return {
            "num_demonstrations": len(self.lessons),
            "num_exam_questions": len(self.exam),
            "data_sha256": hashlib.sha256(ids.encode()).hexdigest(),
        }

    @property
    def num_to_validate(self) -> int:
        """Exam questions."""
        return len(self.exam)

    def validate(self, *, advance: Callable[[], None]) -> Measured:
        """The share of exam questions that a greedy decoder answers rightly, by family."""
        network = self.checkpoint.network
        was_training = network.training
        network.eval()
        by_family: dict[str, list[bool]] = {}
        try:
            answered = answers_right(self.objective, [one.demonstration for one in self.exam])
            for lesson, is_right in zip(self.exam, answered, strict=True):
                by_family.setdefault(lesson.family, []).append(is_right)
                advance()
        finally:
            network.train(was_training)
        overall = _result("overall", [*chain.from_iterable(by_family.values())])
        tasks = {family: _result(family, by_family[family]) for family in sorted(by_family)}
        low, high = overall.interval
        return Measured(
            fields={
                "overall": _describe(overall),
                "tasks": {family: _describe(result) for family, result in tasks.items()},
            },
            curves={"accuracy": overall.accuracy},
            said=f"{overall.accuracy:.3f} [{low:.3f}, {high:.3f}] of the questions answered, least "
            + "; ".join(
                f"{one.task} {one.accuracy:.2f}"
                for one in sorted(tasks.values(), key=lambda one: one.accuracy)[:5]
            ),
        )

    def export(self, folder: Path, *, check_signals: Callable[[], None]) -> Path:
        """The base model's folder."""
        check_signals()
        if not folder.exists():
            save_base_model(self.checkpoint, folder)
        return folder


def _build(config: PretrainConfig) -> RewardCheckpoint:
    torch.manual_seed(config.seed)
    folder = Path(config.scratch.tokenizer or TOKENIZER_FOLDER)
    checkpoint = build_scratch(
        config.scratch,
        load_tokenizer(folder),
        text_folder=folder,
        head="linear",
        seed=config.seed,
    )
    checkpoint.network.to("cuda" if torch.cuda.is_available() else "cpu")
    backbones.use_tree_attention(checkpoint.network.backbone)
    return checkpoint


def _lessons(config: PretrainConfig) -> chain[Lesson]:
    return chain(
        make_lessons(num_pictures=config.num_pictures, seed=config.seed, split="train"),
        make_text_lessons(num_lessons=config.num_text_lessons, seed=config.seed, split="train"),
    )


def _result(task: str, answered: Sequence[bool]) -> TaskResult:
    return TaskResult(
        task=task, num_pairs=len(answered), num_right=sum(answered), mean_margin=0.0, loss=0.0
    )


def _describe(result: TaskResult) -> dict[str, Any]:
    return {
        "num_questions": result.num_pairs,
        "accuracy": result.accuracy,
        "interval": list(result.interval),
    }
