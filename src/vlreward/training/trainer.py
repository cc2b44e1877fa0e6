"""One run in progress: where it stands, what happens between steps, and how it ends."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vlreward.collation.config import CollationConfig
from vlreward.durable import write_json_atomically
from vlreward.errors import DataError, Interrupted, VlrewardError
from vlreward.modeling.checkpoints import RewardSettings
from vlreward.progress import Progress
from vlreward.runs import Event, RunFolder
from vlreward.scoring import RewardModel
from vlreward.training.board import Board
from vlreward.training.config import StageConfig, TrainConfig
from vlreward.training.loop import RowMaker, StagePlan, StepMetrics, run_stage
from vlreward.training.objectives import PairwiseLoss
from vlreward.training.optimizer import MasterAdamW
from vlreward.training.plots import draw_curves
from vlreward.training.setup import RunData, select_pairs
from vlreward.training.state import Position, load_newest, restore_random, save_state
from vlreward.training.validation import describe_validation, validate

_MAX_PAIRS_FOR_STATISTICS = 512


@dataclass(kw_only=True)
class Trainer:
    """One run in progress: where it stands, and what happens between steps."""

    config: TrainConfig
    folder: RunFolder
    model: RewardModel
    data: RunData
    progress: Progress
    check_signals: Callable[[], None]
    """Raises Interrupted if a signal came."""
    position: Position = field(default_factory=Position)
    optimizer_state: dict[str, Tensor] | None = None
    """Of a checkpoint, until the stage that it belongs to begins."""
    board: Board | None = None

    def finish(self) -> RewardModel:
        """Runs every stage that is left, then writes the model; notes why it stopped before."""
        self._say_data()
        self._restore()
        if self.config.tensorboard:
            self.board = Board(self.folder.path / "tensorboard", first_step=self.position.step + 1)
        try:
            while self.position.stage < len(self.config.stages):
                self._run_stage()
                self.check_signals()
            return self._export()
        except Exception as error:
            code = error.code if isinstance(error, VlrewardError) else type(error).__name__
            self.folder.append_event("stopped", code=code, why=str(error))
            raise
        finally:
            if self.board is not None:
                self.board.close()

    def _restore(self) -> None:
        """Goes back to the newest valid checkpoint, if there is one."""
        saved, skipped = load_newest(self._checkpoints)
        for message in skipped:
            self.progress.say(f"Skipped a damaged checkpoint: {message}")
        if saved is not None:
            self.position = saved.position
            self.model.checkpoint.network.load_state_dict(saved.model)
            restore_random(saved.random)
            self.optimizer_state = saved.optimizer
        self._rewind(skipped)

    def _rewind(self, skipped: Sequence[str]) -> None:
        """Takes back the events of steps that no checkpoint holds, and says how many those are."""
        step = self.position.step
        events = self.folder.read_events()
        if step > 0:
            self._refuse_other_pairs(events)
        lost = max([step, *(e.fields["step"] for e in events if e.kind == "step")]) - step
        self.folder.rewind_events(step=step)
        if step == 0 and not lost:
            self.folder.append_event("started", **self._describe_data())
            return
        self.folder.append_event("resumed", step=step, lost_steps=lost, skipped=list(skipped))
        again = f" Steps after it that were not saved run again: at least {lost}." if lost else ""
        self.progress.say(f"Resumed at step {step}.{again}")

    def _refuse_other_pairs(self, events: Sequence[Event]) -> None:
        """Raises DataError if the pairs are not those that the run was started with."""
        begun = [event.fields for event in events if event.kind == "started"][-1:]
        now = self._describe_data()
        if begun and begun[0].get("pairs_sha256") != now["pairs_sha256"]:
            raise DataError(
                "run-data-differs",
                value=f"{now['num_train_pairs']} pairs, not the same {begun[0]['num_train_pairs']}",
                place=str(self.folder.path),
                expected="the pairs that this run was started with, in their order",
                mend="Bring the data back as it was to resume, or start a new run elsewhere.",
            )

    def _run_stage(self) -> None:
        stage = self.config.stages[self.position.stage]
        plan = StagePlan(
            stage=stage,
            pairs=select_pairs(self.data.train.pairs, stage),
            seed=self.config.seed + self.position.stage,
        )
        network = self.model.checkpoint.network
        optimizer = MasterAdamW(network.named_parameters(), self.config.optimizer)
        if self.optimizer_state is not None and self.position.stage_step > 0:
            optimizer.load_state(self.optimizer_state)
        self.optimizer_state = None
        self._say_stage(stage, plan)
        with self._saved_if_interrupted(optimizer):
            self._validate_if_due(plan)  # a signal may have stopped the one of the last step
        with self.progress.phase(
            f"Stage {stage.name}", total=plan.num_steps, done=self.position.stage_step
        ) as advance:

            def after_step(metrics: StepMetrics) -> None:
                self.position = self.position.after_step()
                advance(f"loss {metrics.loss:.3f}  accuracy {metrics.accuracy:.2f}")
                self._note_step(metrics)
                with self._saved_if_interrupted(optimizer):
                    self._validate_if_due(plan)
                    self.check_signals()
                is_last = self.position.stage_step == plan.num_steps
                if self.position.step % self.config.save_every_steps == 0 and not is_last:
                    self._save(optimizer)

            run_stage(
                network,
                optimizer,
                PairwiseLoss(
                    centering=self.config.objective.centering,
                    label_smoothing=self.config.objective.label_smoothing,
                ),
                plan,
                self._row_maker(),
                first_step=self.position.stage_step,
                after_step=after_step,
            )
        with self._saved_if_interrupted(optimizer):
            self._validate()
        self.position = self.position.at_next_stage()
        self._save(None)

    @contextmanager
    def _saved_if_interrupted(self, optimizer: MasterAdamW) -> Iterator[None]:
        try:
            yield
        except Interrupted:
            self._save(optimizer)
            raise

    def _row_maker(self) -> RowMaker:
        return RowMaker(
            encoder=self.model.encoder,
            token_budget=self.config.collation.token_budget,
            packed=self.model.packed,
            use_margin=self.config.objective.use_margin,
        )

    def _say_data(self) -> None:
        counts = self._describe_data()
        self.progress.say(
            f"{counts['num_train_pairs']} pairs to train on "
            f"({counts['num_multimodal_pairs']} with pictures), "
            f"{counts['num_validation_pairs']} to validate on."
        )
        if self.data.refused or self.data.truncated:
            self.progress.say(
                f"Rows refused: {counts['num_refused_rows']}, truncated: "
                f"{counts['num_truncated_pairs']}; {self.folder.path / 'rows.jsonl'} lists them."
            )

    def _say_stage(self, stage: StageConfig, plan: StagePlan) -> None:
        steps = f"{plan.num_steps} steps of {stage.batch_size} comparisons"
        self.progress.say(f"Stage {stage.name}: {len(plan.pairs)} pairs, {steps}.")
        first_step = self.position.step - self.position.stage_step
        if not self._has_event("stage", step=first_step, name=stage.name):
            self.folder.append_event(
                "stage",
                step=first_step,
                name=stage.name,
                num_pairs=len(plan.pairs),
                num_steps=plan.num_steps,
            )

    def _has_event(self, kind: str, **fields: Any) -> bool:
        """Whether the run said so before it was interrupted."""
        return any(
            event.kind == kind and event.fields.items() >= fields.items()
            for event in self.folder.read_events()
        )

    def _note_step(self, metrics: StepMetrics) -> None:
        if self.position.step % self.config.log_every_steps != 0:
            return
        values = metrics._asdict()
        stage = self.config.stages[self.position.stage].name
        self.folder.append_event("step", step=self.position.step, stage=stage, **values)
        if self.board is not None:
            self.board.add("train", self.position.step, values)

    def _validate_if_due(self, plan: StagePlan) -> None:
        every = self.config.validate_every_steps
        step = self.position.stage_step
        if every and step % every == 0 and 0 < step < plan.num_steps:
            self._validate()

    def _validate(self) -> None:
        pairs = self.data.validation.pairs
        if not pairs or self._has_event("validation", step=self.position.step):
            return
        with self.progress.phase("Validating", total=len(pairs)) as advance:

            def after_pair() -> None:
                advance()
                self.check_signals()

            found = validate(self.model, pairs, advance=after_pair)
        described = describe_validation(found)
        self.folder.append_event("validation", step=self.position.step, **described)
        if self.board is not None:
            values = {"accuracy": found.overall.accuracy, "loss": found.overall.loss}
            self.board.add("validation", self.position.step, values)
        draw_curves(self.folder.read_events(), self.folder.path / "curves.png")
        overall = found.overall
        self.progress.say(
            f"Step {self.position.step}: validation accuracy {overall.accuracy:.3f} "
            f"[{overall.interval.low:.3f}, {overall.interval.high:.3f}] on {overall.num_pairs}."
        )

    def _save(self, optimizer: MasterAdamW | None) -> None:
        save_state(
            self._checkpoints,
            self.position,
            model=self.model.checkpoint.network,
            optimizer=optimizer,
            keep=self.config.keep_checkpoints,
        )

    def _export(self) -> RewardModel:
        """Writes model, metrics and curves."""
        self.model.checkpoint.network.eval()
        model = self.model.with_settings(self._settings())
        if not (self.folder.path / "model").exists():
            model.save(self.folder.path / "model")
        metrics: dict[str, Any] = {"steps": self.position.step} | self._describe_data()
        events = self.folder.read_events()
        validations = [event.fields for event in events if event.kind == "validation"]
        metrics["validation"] = dict(validations[-1]) if validations else None
        write_json_atomically(self.folder.path / "metrics.json", metrics)
        draw_curves(events, self.folder.path / "curves.png")
        self.folder.append_event("finished", step=self.position.step)
        return model

    def _settings(self) -> RewardSettings:
        """The mean and spread of rewards over some training pairs, and how rows were made."""
        pairs = self.data.train.pairs
        sample = pairs[:: math.ceil(len(pairs) / _MAX_PAIRS_FOR_STATISTICS)]
        rewards = []
        for scores in self.model.score_many((p.prompt, [p.chosen, p.rejected]) for p in sample):
            rewards += [score.value for score in scores]
            self.check_signals()
        collation: CollationConfig = self.config.collation
        return replace(
            self.model.settings,
            reward_mean=statistics.fmean(rewards),
            reward_std=statistics.pstdev(rewards),
            max_length=collation.max_length,
            overflow=collation.overflow,
            min_pixels=collation.min_pixels,
            max_pixels=collation.max_pixels,
        )

    def _describe_data(self) -> dict[str, Any]:
        train, validation = self.data.train, self.data.validation
        return {
            "num_train_pairs": len(train.pairs),
            "num_multimodal_pairs": sum(pair.has_pictures for pair in train.pairs),
            "num_validation_pairs": len(validation.pairs),
            "num_refused_rows": len(self.data.refused),
            "num_truncated_pairs": len(self.data.truncated),
            "num_train_tokens": train.num_tokens,
            "pairs_sha256": self.data.sha256,
        }

    @property
    def _checkpoints(self) -> Path:
        return self.folder.path / "checkpoints"
