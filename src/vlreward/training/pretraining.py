"""Training a base model on demonstrations of the miniature world, as a trainer's task."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from vlreward.collation.encoding import Encoder
from vlreward.collation.text import load_tokenizer
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint, save_base_model
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.scratch import build_scratch
from vlreward.progress import Progress
from vlreward.records import Demonstration, Picture
from vlreward.runs import Clock, RunFolder
from vlreward.training.config import PretrainConfig
from vlreward.training.loop import StagePlan
from vlreward.training.naming import NamedPicture, NamingNetwork, NamingObjective, Vocabulary
from vlreward.training.next_token import NextTokenObjective, answers_right, what_is_shared
from vlreward.training.run import run_in_folder
from vlreward.training.task import Measured
from vlreward.training.validation import Share
from vlreward.world.catalogue import FAMILIES
from vlreward.world.lessons import (
    Lesson,
    make_check_lessons,
    make_exam,
    make_lessons,
    make_text_check_lessons,
    make_text_lessons,
)
from vlreward.world.texts import TEXT_FAMILIES
from vlreward.world.tokenizer import TOKENIZER_FOLDER

_EXAM_BATCH = 64
_NUM_EXAM_CHECKS = 600
_LATE_SEED = 2_000_003
"""Added to the seed of lessons in the last stage, so that their pictures are new."""

HARD_FAMILIES = (
    "bar charts",
    "line charts",
    "pie charts",
    "tables",
    "circled letters",
    "counting",
    "triangle angles",
)
"""Shown twice as often in the last stage."""
_LATE_FAMILIES = (*FAMILIES, *HARD_FAMILIES)
_LATE_TEXT_FAMILIES = (*TEXT_FAMILIES, *["text arithmetic"] * 4)


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
        encoder = encoder_for(checkpoint, config.collation)
        with progress.phase("Drawing pictures") as advance:

            def after_lesson() -> None:
                advance()
                check_signals()

            taught = _collect(_lessons(config), encoder, after_lesson=after_lesson)
            late = _collect(_late_lessons(config), encoder, after_lesson=after_lesson)
            exam = _collect(_exam(config), encoder, after_lesson=after_lesson)
            checks = _collect(_exam_checks(config), encoder, after_lesson=after_lesson)
        progress.say(
            f"{len(taught.demonstrations)} demonstrations to learn from, "
            f"{len(exam.demonstrations)} questions to pass."
        )
        assert encoder.preparation is not None, "the base model reads pictures"
        vocabulary = Vocabulary.of(
            [*taught.named.values(), *exam.named.values()], load_tokenizer(checkpoint.text_folder)
        )
        return PretrainTask(
            config=config,
            checkpoint=checkpoint,
            naming=NamingObjective(
                network=_with_phrase_maps(checkpoint, seed=config.seed),
                vocabulary=vocabulary,
                preparation=encoder.preparation,
            ),
            answering=NextTokenObjective(
                network=checkpoint.network,
                encoder=encoder,
                token_budget=config.collation.token_budget,
            ),
            taught=taught,
            late=late,
            exam=exam,
            checks=checks,
        )

    return run_in_folder(config, prepare=prepare, load_finished=Path, command=command, clock=clock)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """Demonstrations, family and skill of each, and what is drawn where in their pictures."""

    demonstrations: tuple[Demonstration, ...]
    topics: tuple[tuple[str, str], ...]
    named: Mapping[Picture, NamedPicture]


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainTask:
    """See `task.Task`: demonstrations in, the folder of a base model out."""

    config: PretrainConfig
    checkpoint: RewardCheckpoint
    """Its head is not trained and not written."""
    naming: NamingObjective
    answering: NextTokenObjective
    taught: Taught
    late: Taught
    """What the third stage teaches, if there is one."""
    exam: Taught
    checks: Taught
    """Answers to be checked at the third stage's validations."""

    @property
    def network(self) -> NamingNetwork:
        """The network whose backbone is trained, and the maps that say phrases."""
        return self.naming.network

    def objective(self, stage: int) -> NamingObjective | NextTokenObjective:
        """To name what is drawn where, in the first stage; then to answer and to check answers."""
        return self.naming if self._is_naming(stage) else self.answering

    def _is_naming(self, stage: int) -> bool:
        return stage == 0

    def _is_checking(self, stage: int) -> bool:
        return stage == 2

    @property
    def items_name(self) -> str:
        """What is counted."""
        return "items"

    def plan(self, stage: int) -> StagePlan[Any]:
        """Pictures to name, or demonstrations; those of one picture stay together."""
        items: list[Any]
        groups: list[Hashable]
        if self._is_naming(stage):
            items = list(self.taught.named.values())
            groups = list(range(len(items)))
        else:
            items = list((self.late if self._is_checking(stage) else self.taught).demonstrations)
            groups = [what_is_shared(item) for item in items]
        return StagePlan(
            stage=self.config.stages[stage],
            items=items,
            groups=groups,
            seed=self.config.seed + stage,
        )

    def describe_data(self) -> Mapping[str, Any]:
        """How many demonstrations, pictures and questions there are."""
        told = hashlib.sha256()
        for group in (self.taught, self.late, self.exam):
            for item in group.demonstrations:
                told.update(item.id.encode())
            for named in group.named.values():
                told.update(f"{named.picture.sha256}{named.parts}".encode())
        return {
            "num_demonstrations": len(self.taught.demonstrations),
            "num_pictures": len(self.taught.named),
            "num_exam_questions": len(self.exam.demonstrations),
            "data_sha256": told.hexdigest(),
        }

    def num_to_validate(self, stage: int) -> int:
        """The exam's pictures while they are named, then its questions and answers to check."""
        if self._is_naming(stage):
            return len(self.exam.named)
        checks = self.checks.demonstrations if self._is_checking(stage) else ()
        return len(self.exam.demonstrations) + len(checks)

    def validate(self, stage: int, *, advance: Callable[[], None]) -> Measured:
        """The share of exam questions that a greedy decoder answers rightly, by family.

        While the model learns to name, the share of its pictures' tokens named rightly; while it
        learns to check, the share of answers rightly called good or bad, too.
        """
        was_training = self.network.training
        self.network.eval()
        try:
            if self._is_naming(stage):
                return self._measure_naming(advance)
            answers = self._measure_answers(advance)
            return self._with_checks(answers, advance) if self._is_checking(stage) else answers
        finally:
            self.network.train(was_training)

    def _measure_naming(self, advance: Callable[[], None]) -> Measured:
        num_right = num_tokens = 0
        pictures = list(self.exam.named.values())
        for start in range(0, len(pictures), _EXAM_BATCH):
            [row] = self.naming.make_rows(pictures[start : start + _EXAM_BATCH])
            with torch.no_grad():
                num_right += int(self.naming.cost(row).totals["accuracy"])
            num_tokens += row.num_units
            for _ in row.ids:
                advance()
        share = num_right / num_tokens
        return Measured(
            fields={"overall": {"num_tokens": num_tokens, "accuracy": share}},
            curves={"accuracy": share},
            said=f"{share:.3f} of the pictures' tokens named rightly",
        )

    def _measure_answers(self, advance: Callable[[], None]) -> Measured:
        by_family: dict[str, list[bool]] = {}
        by_skill: dict[str, list[bool]] = {}
        answered = answers_right(self.answering, self.exam.demonstrations)
        for (family, skill), is_right in zip(self.exam.topics, answered, strict=True):
            by_family.setdefault(family, []).append(is_right)
            by_skill.setdefault(skill, []).append(is_right)
            advance()
        overall = Share.of([*chain.from_iterable(by_family.values())])
        tasks, skills = (
            {name: Share.of(group[name]) for name in sorted(group)}
            for group in (by_family, by_skill)
        )
        weakest = sorted(tasks.items(), key=lambda task: task[1].accuracy)
        return Measured(
            fields={
                "overall": _describe(overall),
                "tasks": {name: _describe(share) for name, share in tasks.items()},
                "skills": {name: _describe(share) for name, share in skills.items()},
            },
            curves={"accuracy": overall.accuracy},
            said=f"{overall} of the questions answered, least "
            + "; ".join(f"{name} {share.accuracy:.2f}" for name, share in weakest[:5]),
        )

    def _with_checks(self, answers: Measured, advance: Callable[[], None]) -> Measured:
        right = []
        for is_right in answers_right(self.answering, self.checks.demonstrations):
            right.append(is_right)
            advance()
        share = Share.of(right)
        return Measured(
            fields={**answers.fields, "checks": _describe(share)},
            curves={**answers.curves, "checks": share.accuracy},
            said=f"{answers.said}; {share} of the checks right",
        )

    def export(self, folder: Path, *, check_signals: Callable[[], None]) -> Path:
        """The base model's folder, its weights rounded to bfloat16 as published ones are."""
        check_signals()
        if not folder.exists():
            self.checkpoint.network.backbone.to(torch.bfloat16)
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
        dtype=getattr(torch, config.dtype),
        seed=config.seed,
    )
    checkpoint.network.to("cuda" if torch.cuda.is_available() else "cpu")
    backbones.use_tree_attention(checkpoint.network.backbone)
    return checkpoint


def _with_phrase_maps(checkpoint: RewardCheckpoint, *, seed: int) -> NamingNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = NamingNetwork(checkpoint.network)
    network.to(checkpoint.network.device)
    return network


def _lessons(config: PretrainConfig) -> chain[Lesson]:
    return chain(
        make_lessons(
            num_pictures=config.num_pictures,
            seed=config.seed,
            split="train",
            num_questions=config.num_questions,
        ),
        make_text_lessons(num_lessons=config.num_text_lessons, seed=config.seed, split="train"),
    )


def _late_lessons(config: PretrainConfig) -> Iterator[Lesson]:
    """The third stage's: answers to be checked, and new questions, so that none is forgotten."""
    if len(config.stages) < 3:
        return iter(())
    num_pictures, num_texts = config.num_check_pictures, config.num_text_checks
    seed, late = config.seed, config.seed + _LATE_SEED
    questions = make_lessons(
        num_pictures=num_pictures // 4,
        seed=late,
        split="train",
        families=_LATE_FAMILIES,
        num_questions=config.num_questions,
    )
    return chain(
        make_check_lessons(
            num_pictures=num_pictures, seed=seed, split="train", families=_LATE_FAMILIES
        ),
        make_text_check_lessons(
            num_lessons=num_texts, seed=late, split="train", families=_LATE_TEXT_FAMILIES
        ),
        (lesson for lesson in questions if lesson.kind != "description"),
        make_text_lessons(
            num_lessons=num_texts, seed=late, split="train", families=_LATE_TEXT_FAMILIES
        ),
    )


def _exam_checks(config: PretrainConfig) -> Iterator[Lesson]:
    """About as many as 600, fewer where the exam is small."""
    number = min(_NUM_EXAM_CHECKS, config.num_exam_pictures)
    lessons = make_check_lessons(num_pictures=number, seed=config.seed, split="val")
    return islice(lessons, number)


def _exam(config: PretrainConfig) -> Iterator[Lesson]:
    return make_exam(num_pictures=config.num_exam_pictures, seed=config.seed, split="val")


def _collect(
    lessons: Iterable[Lesson], encoder: Encoder, *, after_lesson: Callable[[], None]
) -> Taught:
    assert encoder.preparation is not None, "the base model reads pictures"
    demonstrations: list[Demonstration] = []
    topics: list[tuple[str, str]] = []
    named: dict[Picture, NamedPicture] = {}
    for lesson in lessons:
        demonstrations.append(lesson.demonstration)
        topics.append((lesson.family, lesson.skill or lesson.kind))
        pictures = lesson.demonstration.prompt.pictures if lesson.marks else ()
        for picture, marks in zip(pictures, lesson.marks, strict=True):
            if picture not in named:
                named[picture] = NamedPicture.of(
                    picture, marks=marks, preparation=encoder.preparation
                )
        after_lesson()
    return Taught(demonstrations=tuple(demonstrations), topics=tuple(topics), named=named)


def _describe(share: Share) -> dict[str, Any]:
    return {"num_questions": share.num_all, **share.as_fields()}
