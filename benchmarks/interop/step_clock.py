"""Notes each optimizer step's loss and time in trainers that build on transformers' Trainer.

    import step_clock
    step_clock.note_steps(Path("steps.jsonl"))   # before the trainer starts

A line a step: `loss`, the mean over the step's batch as the trainer computed it, unrounded, and
`time`, the clock in seconds when the step was done. Lines are written as steps end, so that a run
which cannot save its model has them all the same.
"""

import json
import time
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.trainer_callback import CallbackHandler


def note_steps(path: Path) -> None:
    """From now on, every Trainer of this process notes its steps; one forward pass a step."""
    path.unlink(missing_ok=True)
    train_one, end_step = Trainer.training_step, CallbackHandler.on_step_end
    losses: list[float] = []

    def noting_loss(trainer: Trainer, *arguments: Any, **keywords: Any) -> Any:
        loss = train_one(trainer, *arguments, **keywords)
        losses.append(float(loss))
        return loss

    def noting_time(handler: CallbackHandler, *arguments: Any, **keywords: Any) -> Any:
        [loss] = losses
        losses.clear()
        with path.open("a") as file:
            file.write(json.dumps({"loss": loss, "time": time.time()}) + "\n")
        return end_step(handler, *arguments, **keywords)

    Trainer.training_step = noting_loss  # type: ignore[method-assign]
    CallbackHandler.on_step_end = noting_time  # type: ignore[method-assign]
