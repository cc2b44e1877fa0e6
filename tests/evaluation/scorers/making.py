"""What the tests of scorers are made from: tiny checkpoints, rows, what pictures arrived."""

from __future__ import annotations

import hashlib
import random
from contextlib import ExitStack
from pathlib import Path

import torch

from tests.support import tiny
from vlreward.evaluation.examples import Example
from vlreward.evaluation.scorers.config import ScorerConfig
from vlreward.evaluation.scorers.opening import Assessor, Means, build
from vlreward.evaluation.scorers.protocols import Comparison
from vlreward.modeling.checkpoints import FolderLayout, save_checkpoint
from vlreward.records import Prompt, Response, Score

QWEN = "qwen2_5_vl"


def reward_folder(folder: Path, kind: str = QWEN, *, layout: FolderLayout = "value-head") -> Path:
    """A random reward model of the kind, as others publish them."""
    base = tiny.write_base_model(folder / "base", kind)
    save_checkpoint(tiny.load_tiny(base), folder / "reward", layout=layout)
    (folder / "reward" / "vlreward.json").unlink()
    return folder / "reward"


def rows(number: int, *, num_responses: int = 2, pictures: bool = True) -> list[Comparison]:
    """Prompts about different pictures of different sizes, with answers of different lengths."""
    rng = random.Random(number)
    out: list[Comparison] = []
    for index in range(number):
        shown = (tiny.picture(index, width=56 + 28 * (index % 3)),) if pictures else ()
        prompt = tiny.prompt(*shown, tiny.words(rng, 3, 12))
        answers = [tiny.response(tiny.words(rng, 1, 20)) for _ in range(num_responses)]
        out.append((prompt, answers))
    return out


def example(name: str, prompt: Prompt, *responses: Response, right: tuple[int, ...] = (0,)):
    return Example(
        id=name,
        group="g",
        subset="s",
        cluster=name,
        prompt=prompt,
        responses=responses,
        right=right,
    )


def opened(config: ScorerConfig, **means: object) -> Assessor:
    """The scorer of a configuration that starts no process."""
    return build(config, means=Means(**means), stack=ExitStack())  # type: ignore[arg-type]


def values(scores: list[Score]) -> list[float]:
    return [score.value for score in scores]


def watch_patches(model: torch.nn.Module) -> list[str]:
    """From now on, the hashes of what each call gives the model's vision encoder."""
    seen: list[str] = []

    def note(_: object, arguments: tuple[torch.Tensor, ...]) -> None:
        seen.append(patches_hash(arguments[0]))

    model.get_submodule("visual").register_forward_pre_hook(note)
    return seen


def patches_hash(patches: torch.Tensor) -> str:
    return hashlib.sha256(patches.float().contiguous().numpy().tobytes()).hexdigest()
