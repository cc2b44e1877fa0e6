"""Training runs that take a second: few drawn pairs on disk, a network of some thousand weights."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from vlreward.collation.config import CollationConfig
from vlreward.modeling.config import ModelConfig, ScratchConfig
from vlreward.runs import RunFolder
from vlreward.scoring import RewardModel
from vlreward.sources.config import SourceConfig
from vlreward.training.config import StageConfig, TrainConfig
from vlreward.training.objectives import PairwiseLoss
from vlreward.training.pairwise import PairwiseObjective
from vlreward.training.state import list_checkpoints

COLORS = ("red", "green", "blue", "yellow", "black", "white")
SIZES = ScratchConfig(
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    num_key_value_heads=1,
    vision_hidden_size=16,
    vision_num_layers=1,
    vision_num_heads=2,
)
TWO_STAGES = (
    StageConfig(name="pictures", select="multimodal", epochs=2, learning_rate=1e-2, batch_size=4),
    StageConfig(name="all", select="all", epochs=1, learning_rate=5e-3, batch_size=6),
)


def drawn_row(index: int, **changes: Any) -> dict[str, Any]:
    """A row whose picture, one of `write_rows`, decides it."""
    color, other = COLORS[index % 6], COLORS[(index + 1 + index // 6) % 6]
    return {
        "id": f"drawn-{index}",
        "source": "drawn",
        "task": "colour",
        "images": [f"{color}.png"],
        "prompt": f"<image>\nNumber {index}: which colour is this?",
        "chosen": f"It is {color}.",
        "rejected": f"It is {other if other != color else 'no colour'}.",
        "label_type": "template",
    } | changes


def text_row(index: int, **changes: Any) -> dict[str, Any]:
    """A row without a picture."""
    return {
        "id": f"text-{index}",
        "source": "sums",
        "task": "sum",
        "images": [],
        "prompt": f"What is {index} plus one?",
        "chosen": f"It is {index + 1}.",
        "rejected": f"It is {index + 2}, I am quite sure.",
        "label_type": "template",
    } | changes


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    """JSON lines, and beside them a small picture for each colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for index, color in enumerate(COLORS):
        Image.new("RGB", (30 + 20 * index, 40), color).save(path.with_name(f"{color}.png"))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tiny_config(folder: Path, **changes: Any) -> TrainConfig:
    """Two stages over ten drawn pairs and five of text, in six and three steps, validated."""
    data = write_rows(
        folder / "data" / "train.jsonl", *map(drawn_row, range(10)), *map(text_row, range(5))
    )
    held_out = write_rows(
        folder / "data" / "val.jsonl", *map(drawn_row, range(10, 14)), text_row(7)
    )
    config = TrainConfig(
        output=str(folder / "run"),
        data=(SourceConfig(path=str(data)),),
        validation=(SourceConfig(path=str(held_out)),),
        model=ModelConfig(path=None, scratch=SIZES, dtype="float32", freeze_vision=False),
        collation=CollationConfig(max_length=256, max_pixels=56 * 84, token_budget=256),
        stages=TWO_STAGES,
        save_every_steps=2,
        validate_every_steps=4,
    )
    return replace(config, **changes)


class Killed(BaseException):
    """What ends a run at once, as kill -9 does to a process."""


@dataclass(kw_only=True)
class DeadlyClock:
    """A clock that at its n-th call sends a signal, or without one kills the run on the spot.

    A run asks its clock whenever it notes an event.
    """

    at_call: int
    signal_number: signal.Signals | None = None
    _calls: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self) -> float:
        call = next(self._calls)
        if call == self.at_call:
            if self.signal_number is None:
                raise Killed
            signal.raise_signal(self.signal_number)
        return float(call)


def events_of(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """The run's events of these kinds in order, without number and time."""
    events = RunFolder.open(folder, clock=float).read_events()
    return [{"kind": e.kind, **e.fields} for e in events if not kinds or e.kind in kinds]


def final_tensors(folder: Path) -> dict[str, Tensor]:
    """Weights, optimizer and random state of the run's last checkpoint, and the model written."""
    last = list_checkpoints(folder / "checkpoints")[-1]
    files = [*sorted(last.glob("*.safetensors")), *sorted((folder / "model").glob("*.safetensors"))]
    return {
        f"{file.parent.name}/{file.name}/{name}": tensor
        for file in files
        for name, tensor in load_file(file).items()
    }


def objective_of(
    model: RewardModel, *, token_budget: int = 4096, use_margin: bool = False, **loss: float
) -> PairwiseObjective:
    """The model's pairwise objective, in the model's own layout."""
    return PairwiseObjective(
        network=model.checkpoint.network,
        encoder=model.encoder,
        loss=PairwiseLoss(**loss),
        token_budget=token_budget,
        packed=model.packed,
        use_margin=use_margin,
    )
