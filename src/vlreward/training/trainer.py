"""A run in progress: where it stands, what happens between steps, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor

from vlreward.durable import write_json_atomically
from vlreward.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    Interrupted,
    VlrewardError,
)
from vlreward.progress import Progress
from vlreward.runs import Event, RunFolder
from vlreward.training.best import best_step, num_since_best
from vlreward.training.board import Boards, open_boards
from vlreward.training.config import RunConfig
from vlreward.training.embedding_adamw import sparse_gradients
from vlreward.training.loop import Objective, StagePlan, StepMetrics, run_stage
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.pace import Pace
from vlreward.training.plots import draw_curves
from vlreward.training.processes import Processes
from vlreward.training.state import (
    FixedWeights,
    Position,
    SavedState,
    load_newest,
    restore_random,
    save_state,
)
from vlreward.training.task import Task

Result = TypeVar("Result")


@dataclass(kw_only=True)
class Trainer(Generic[Result]):
    """Takes a task through its stages: checkpoints, events, validations, signals."""

    config: RunConfig
    folder: RunFolder
    task: Task[Result]
    progress: Progress
    check_signals: Callable[[], None]
    """Raises Interrupted, in all processes, if a signal came to one."""
    processes: Processes
    position: Position = field(default_factory=Position)
    optimizer_state: dict[str, Tensor] | None = None
    """Of a checkpoint, until the stage that it belongs to begins."""
    board: Boards = field(default_factory=lambda: Boards([]))
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(clock=time.monotonic, device=self.processes.device)

    def finish(self) -> Result:
        """Runs every stage that is left, then writes the model; notes why it stopped before."""
        self._restore()
        if self.processes.is_first:
            first_step = self.position.step + 1
            self.board = open_boards(self.config, folder=self.folder.path, first_step=first_step)
        try:
            with self._cheap_gradients():
                while self.position.stage < len(self.config.stages):
                    self._run_stage()
                    self.check_signals()
            return self._export()
        except Exception as error:
            code = error.code if isinstance(error, VlrewardError) else type(error).__name__
            self.folder.append_event("stopped", code=code, why=str(error))
            raise
        finally:
            self.board.close()

    def _cheap_gradients(self) -> AbstractContextManager[None]:
        """Sparse ones for embeddings, unless rows that are not used have to decay, too.

        FSDP knows dense gradients only.
        """
        if self.config.optimizer.weight_decay or self.processes.count > 1:
            return nullcontext()
        return sparse_gradients(self.task.network)

    def _restore(self) -> None:
        """Goes back to the newest valid checkpoint, if there is one."""
        saved, skipped = load_newest(
            self._checkpoints, like=self.task.network, processes=self.processes
        )
        for message in skipped:
            self.progress.say(f"Skipped a damaged checkpoint: {message}")
        if saved is not None:
            self.position = saved.position
            self._load_weights(saved)
            restore_random(saved.random)
            self.optimizer_state = saved.optimizer
        self._rewind(skipped)

    def _load_weights(self, saved: SavedState) -> None:
        """Raises ConfigError if what the checkpoint leaves out is not what it was, CheckpointError
        if what it holds is of another model.
        """
        fixed = self._fixed
        if saved.fixed_sha256 != (fixed.sha256 if fixed else None):
            raise ConfigError(
                "base-model-differs",
                value="other weights than this run was started with",
                place="model.path, model.scratch",
                expected="the base model that the run's adapters were trained on",
                mend="Bring it back (on the hub, by model.revision), or start a new run elsewhere.",
            )
        left_out = fixed.names if fixed else frozenset()
        network = self.task.network
        expected = {n: t.shape for n, t in network.state_dict().items() if n not in left_out}
        found = {n: t.shape for n, t in saved.model.items()}
        differing = sorted(n for n in expected | found if expected.get(n) != found.get(n))
        if differing:
            raise CheckpointError(
                "checkpoint-differs",
                value=f"{len(differing)} weights of other names or shapes, first {differing[0]}",
                place=str(self._checkpoints),
                expected="the weights of this model",
                mend="Take the versions of transformers and peft that the run was started with "
                "(command.json lists them), or start a new run elsewhere.",
            )
        network.load_state_dict(saved.model, strict=False)

    @cached_property
    def _fixed(self) -> FixedWeights | None:
        return FixedWeights.of(self.task.network, self.task.fixed_weights)

    def _rewind(self, skipped: Sequence[str]) -> None:
        """Takes back the events of steps that no checkpoint holds, and says how many those are."""
        step = self.position.step
        events = self.folder.read_events()
        if step > 0:
            self._refuse_other_data(events)
        lost = max([step, *(e.fields["step"] for e in events if e.kind == "step")]) - step
        self.folder.rewind_events(step=step)
        if step == 0 and not lost:
            self.folder.append_event("started", **self.task.describe_data())
            return
        self.folder.append_event("resumed", step=step, lost_steps=lost, skipped=list(skipped))
        again = f" Steps after it that were not saved run again: at least {lost}." if lost else ""
        self.progress.say(f"Resumed at step {step}.{again}")

    def _refuse_other_data(self, events: Sequence[Event]) -> None:
        """Raises DataError if the data is not what the run was started with."""
        begun = [event.fields for event in events if event.kind == "started"][-1:]
        now = self.task.describe_data()
        if begun and begun[0].get("data_sha256") != now["data_sha256"]:
            counts = {key: value for key, value in now.items() if begun[0].get(key) != value}
            del counts["data_sha256"]
            changed = ", ".join(f"{key} {value}" for key, value in counts.items())
            raise DataError(
                "run-data-differs",
                value=changed or "the same counts, but other contents or another order",
                place=str(self.folder.path),
                expected="the data that this run was started with, in its order",
                mend="Bring the data back as it was to resume, or start a new run elsewhere.",
            )

    def _run_stage(self) -> None:
        plan = self.task.plan(self.position.stage)
        objective = self.task.objective(self.position.stage)
        optimizer = MasterOptimizer(self.task.network, self.config.optimizer)
        if self.optimizer_state is not None and self.position.stage_step > 0:
            optimizer.load_state(self.optimizer_state)
        self.optimizer_state = None
        self._say_stage(plan)
        with self._saved_if_interrupted(optimizer):
            self._validate_if_due(plan)  # a signal may have stopped the one of the last step
        if not self._has_stalled():
            self._make_steps(objective, optimizer, plan)
        with self._saved_if_interrupted(optimizer):
            self._validate()
        self.position = self.position.at_next_stage()
        self._save(None)

    def _make_steps(
        self, objective: Objective[Any, Any], optimizer: MasterOptimizer, plan: StagePlan[Any]
    ) -> None:
        """A stage's steps that are left, to its end or until it gets no better."""
        with (
            self.progress.phase(
                f"Stage {plan.stage.name}", total=plan.num_steps, done=self.position.stage_step
            ) as advance,
            suppress(_Stalled),
        ):

            def after_step(metrics: StepMetrics) -> None:
                self.position = self.position.after_step()
                advance(f"loss {metrics.loss:.3f}  accuracy {metrics.means['accuracy']:.2f}")
                self.pace.after_step(metrics)
                self._note_step(metrics)
                with self._saved_if_interrupted(optimizer):
                    was_due = self._validate_if_due(plan)
                    self.check_signals()
                is_last = self.position.stage_step == plan.num_steps
                if was_due and self._has_stalled():
                    raise _Stalled
                if self.position.step % self.config.save_every_steps == 0 and not is_last:
                    self._save(optimizer)

            run_stage(
                objective,
                optimizer,
                plan,
                first_step=self.position.stage_step,
                after_step=after_step,
                processes=self.processes,
            )

    def _has_stalled(self) -> bool:
        """Whether the stage's last validations were no better than one before."""
        if self.config.best_by is None or not self.config.patience:
            return False
        number = num_since_best(
            self.folder.read_events(),
            by=self.config.best_by,
            after_step=self.position.step - self.position.stage_step,
        )
        return number >= self.config.patience

    @contextmanager
    def _saved_if_interrupted(self, optimizer: MasterOptimizer) -> Iterator[None]:
        try:
            yield
        except Interrupted:
            self._save(optimizer)
            raise

    def _say_stage(self, plan: StagePlan[Any]) -> None:
        stage, name = plan.stage, self.task.items_name
        self.progress.say(
            f"Stage {stage.name}: {len(plan.items)} {name}, {plan.num_steps} steps of "
            f"{stage.batch_size}."
        )
        first_step = self.position.step - self.position.stage_step
        if not self._has_event("stage", step=first_step, name=stage.name):
            self.folder.append_event(
                "stage",
                step=first_step,
                name=stage.name,
                num_items=len(plan.items),
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
        values = metrics.as_fields()
        stage = self.config.stages[self.position.stage].name
        self.folder.append_event("step", step=self.position.step, stage=stage, **values)
        self.board.add("train", self.position.step, values)
        self.board.add("speed", self.position.step, self.pace.measure())

    def _validate_if_due(self, plan: StagePlan[Any]) -> bool:
        """Whether it was, within a stage; at the end of one there is always one."""
        every = self.config.validate_every_steps
        step = self.position.stage_step
        is_due = bool(every) and step % every == 0 and 0 < step < plan.num_steps
        if is_due:
            self._validate()
        return is_due

    @contextmanager
    def _units(self, title: str, *, total: int | None = None) -> Iterator[Callable[[], None]]:
        """A phase of units; what it gives is called after each, and stops at a signal."""
        with self.progress.phase(title, total=total) as advance:

            def after_unit() -> None:
                advance()
                self.check_signals()

            yield after_unit

    def _validate(self) -> None:
        step, num_units = self.position.step, self.task.num_to_validate(self.position.stage)
        if not num_units:
            return
        if self._has_event("validation", step=step):
            self._keep_if_best()  # a kill may have come in between
            return
        with self._units("Validating", total=num_units) as advance:
            measured = self.task.validate(self.position.stage, advance=advance)
        self.folder.append_event("validation", step=step, **measured.fields)
        self.board.add("validation", step, measured.curves)
        self._keep_if_best()
        self._draw_curves()
        self.progress.say(f"Step {step}: {measured.said}")

    def _keep_if_best(self) -> None:
        """Keeps the weights if no validation was better than that of this step."""
        by = self.config.best_by
        if by and best_step(self.folder.read_events(), by=by) == self.position.step:
            self._save(None, folder=self._best, keep=1)

    def _save(
        self,
        optimizer: MasterOptimizer | None,
        *,
        folder: Path | None = None,
        keep: int | None = None,
    ) -> None:
        save_state(
            folder or self._checkpoints,
            self.position,
            model=self.task.network,
            optimizer=optimizer,
            keep=keep or self.config.keep_checkpoints,
            fixed=self._fixed,
            processes=self.processes,
        )

    def _take_best(self) -> int:
        """Goes back to the weights that validated best, if they are wanted; the step of those."""
        by = self.config.best_by
        best = None if by is None else best_step(self.folder.read_events(), by=by)
        if best is None or best == self.position.step:
            return self.position.step
        saved, skipped = load_newest(self._best, like=self.task.network, processes=self.processes)
        if saved is None or saved.position.step != best:
            raise CheckpointError(
                "best-missing",
                value="; ".join(skipped) or "nothing",
                place=str(self._best),
                expected=f"the weights of step {best}, which validated best",
                mend="Export a checkpoint instead, or train with best_by unset in a new folder.",
            )
        self._load_weights(saved)
        self.progress.say(f"Step {best} validated best by {by}: its weights are exported.")
        return best

    def _draw_curves(self) -> None:
        events = self.folder.read_events()
        if self.processes.is_first:
            draw_curves(events, self.folder.path / "curves.png")

    def _export(self) -> Result:
        """Writes model, metrics and curves."""
        exported_step = self._take_best()
        validations = [e.fields for e in self.folder.read_events() if e.kind == "validation"]
        of_export = [one for one in validations if one["step"] == exported_step]
        measured = dict(of_export[-1]) if of_export else None
        self.task.network.eval()
        with self._units("Exporting") as advance:
            result = self.task.export(
                self.folder.path / "model", measured=measured, advance=advance
            )
        metrics: dict[str, Any] = {
            "steps": self.position.step,
            "exported_step": exported_step,
            **self.task.describe_data(),
            "validation": measured,
        }
        if self.processes.is_first:
            write_json_atomically(self.folder.path / "metrics.json", metrics)
        self._draw_curves()
        self.folder.append_event("finished", step=self.position.step)
        return result

    @property
    def _checkpoints(self) -> Path:
        return self.folder.path / "checkpoints"

    @property
    def _best(self) -> Path:
        return self.folder.path / "best"


class _Stalled(Exception):
    """A stage gets no better."""
