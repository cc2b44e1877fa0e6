"""Training a base model on demonstrations of the miniature world, as a trainer's task."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from vlreward.collation.encoding import Encoder
from vlreward.collation.picture_preparation import PicturePreparation
from vlreward.collation.text import load_tokenizer
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint, save_base_model
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.scratch import build_scratch
from vlreward.records import Demonstration, Picture
from vlreward.runs import Clock
from vlreward.training.config import PretrainConfig
from vlreward.training.loop import StagePlan
from vlreward.training.naming import NamedPicture, NamingNetwork, NamingObjective, Vocabulary
from vlreward.training.next_token import NextTokenObjective, answers_right, what_is_shared
from vlreward.training.processes import ALONE
from vlreward.training.run import RunContext, run_in_folder
from vlreward.training.task import Measured
from vlreward.training.validation import Share
from vlreward.world.lessons import Lesson, make_exam, make_lessons, make_text_lessons
from vlreward.world.tokenizer import TOKENIZER_FOLDER

_EXAM_BATCH = 64


def pretrain(
    config: PretrainConfig, *, command: Sequence[str] = (), clock: Clock = time.time
) -> Path:
    """Trains a base model in `config.output` and returns its folder; resumes what is there.

    Raises as `train` does.
    """

    def prepare(context: RunContext) -> PretrainTask:
        checkpoint = _build(config)
        encoder = encoder_for(checkpoint, config.collation)
        with context.progress.phase("Drawing pictures") as advance:

            def after_lesson() -> None:
                advance()
                context.check_signals()

            taught = _collect(_lessons(config), encoder, after_lesson=after_lesson)
            exam = _collect(_exam(config), encoder, after_lesson=after_lesson)
        context.progress.say(
            f"{len(taught.demonstrations)} demonstrations to learn from, "
            f"{len(exam.demonstrations)} questions to pass."
        )
        assert isinstance(encoder.preparation, PicturePreparation), "the base model is a Qwen"
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
            exam=exam,
        )

    return run_in_folder(
        config,
        prepare=prepare,
        load_finished=Path,
        command=command,
        clock=clock,
        processes=ALONE,
    )


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
    exam: Taught

    @property
    def network(self) -> NamingNetwork:
        """The network whose backbone is trained, and the maps that say phrases."""
        return self.naming.network

    def objective(self, stage: int) -> NamingObjective | NextTokenObjective:
        """To name what is drawn where, in the first stage; then to answer."""
        return self.naming if self._is_naming(stage) else self.answering

    def _is_naming(self, stage: int) -> bool:
        return stage == 0

    @property
    def fixed_weights(self) -> frozenset[str]:
        """None: all is trained, or was in an earlier stage."""
        return frozenset()

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
            items = list(self.taught.demonstrations)
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
        for group in (self.taught, self.exam):
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
        """The exam's pictures while they are named, then its questions."""
        return len(self.exam.named if self._is_naming(stage) else self.exam.demonstrations)

    def validate(self, stage: int, *, advance: Callable[[], None]) -> Measured:
        """The share of exam questions that a greedy decoder answers rightly, by family.

        While the model learns to name, the share of its pictures' tokens named rightly.
        """
        was_training = self.network.training
        self.network.eval()
        try:
            if self._is_naming(stage):
                return self._measure_naming(advance)
            return self._measure_answers(advance)
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

    def export(
        self,
        folder: Path,
        *,
        measured: Mapping[str, Any] | None,  # noqa: ARG002
        advance: Callable[[], None],
    ) -> Path:
        """The base model's folder, its weights rounded to bfloat16 as published ones are."""
        advance()
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


def _exam(config: PretrainConfig) -> Iterator[Lesson]:
    return make_exam(num_pictures=config.num_exam_pictures, seed=config.seed, split="val")


def _collect(
    lessons: Iterable[Lesson], encoder: Encoder, *, after_lesson: Callable[[], None]
) -> Taught:
    assert isinstance(encoder.preparation, PicturePreparation), "the base model is a Qwen"
    demonstrations: list[Demonstration] = []
    topics: list[tuple[str, str]] = []
    named: dict[Picture, NamedPicture] = {}
    for lesson in lessons:
        demonstrations.append(lesson.demonstration)
        topics.append((lesson.family, lesson.skill or lesson.kind))
        pictures = lesson.demonstration.prompt.pictures
        for picture, marks in zip(pictures, lesson.marks, strict=True):
            if picture not in named:
                named[picture] = NamedPicture.of(
                    picture, marks=marks, preparation=encoder.preparation
                )
        after_lesson()
    return Taught(demonstrations=tuple(demonstrations), topics=tuple(topics), named=named)


def _describe(share: Share) -> dict[str, Any]:
    return {"num_questions": share.num_all, **share.as_fields()}
