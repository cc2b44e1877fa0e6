"""`vlreward train --dry-run`: what a run would begin with, for people."""

from __future__ import annotations

from vlreward.progress import Progress
from vlreward.training.config import TrainConfig
from vlreward.training.rehearsal import Rehearsal, rehearse

_LEARNT = 0.5
"""What is left of a loss that a model which can learn has brought down."""
_NUM_REFUSALS = 3


def rehearse_and_say(config: TrainConfig, *, num_overfit_steps: int) -> int:
    """Prints what was found; 1 if a batch was to be learnt and was not, else 0."""
    with Progress() as progress, progress.phase("Reading pairs") as advance:
        found = rehearse(config, num_overfit_steps=num_overfit_steps, advance=advance)
    print("\n".join(_describe(found)))
    if not found.losses:
        return 0
    first, last = found.losses[0], found.losses[-1]
    has_learnt = last <= _LEARNT * first
    said = "it can learn." if has_learnt else "it does not learn: raise the learning rate, or look "
    print(
        f"One batch, {num_overfit_steps} steps: loss {first:.3f} to {last:.3f}; {said}"
        + ("" if has_learnt else "at what is frozen and at the pairs.")
    )
    return 0 if has_learnt else 1


def _describe(found: Rehearsal) -> list[str]:
    train, refused = found.data.train, found.data.refused
    lines = [
        f"{len(train.pairs)} pairs to train on ({sum(p.has_pictures for p in train.pairs)} with "
        f"pictures), {train.num_tokens:,} tokens; {len(found.data.validation.pairs)} to validate "
        f"on. Rows refused: {len(refused)}, truncated: {len(found.data.truncated)}.",
        *(f"  refused: {error}" for error in refused[:_NUM_REFUSALS]),
    ]
    for one in found.stages:
        lines.append(
            f"Stage {one.name}: {one.num_pairs} pairs, {one.num_steps} steps; its longest took "
            f"{one.num_tokens:,} tokens and {one.seconds:.2f} s, so at most "
            f"{one.num_steps * one.seconds / 3600:.2g} hours."
        )
    return lines
