"""Step time of the packed engine against the same transformers model on plain padded rows.

    python benchmarks/engine.py                 # about two minutes on two cores
    python benchmarks/engine.py --hidden-size 256 --num-layers 4

One process, one random Qwen2.5-VL (vision encoder frozen, as in the paper), the same comparisons,
the same loss. Padded: every response is a row of its own with its prompt and picture, which is what
trainers without packing compute. A step is forward, backward and AdamW; picture preparation is
left out of both. Each figure is the median of the repeats, packed and padded taken in turn.
"""

from __future__ import annotations

import io
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import tyro
from PIL import Image
from torch import Tensor

from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Tree
from vlreward.collation.packing import PackedBatch, PaddedBatch, pack, pad
from vlreward.collation.text import load_tokenizer
from vlreward.modeling import backbones
from vlreward.modeling.config import ScratchConfig
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.network import RewardNetwork
from vlreward.modeling.scratch import build_scratch
from vlreward.pictures import admit
from vlreward.records import Message, Prompt, Response
from vlreward.scoring import RewardModel
from vlreward.training.config import OptimizerConfig
from vlreward.training.optimizer import MasterOptimizer
from vlreward.world.tokenizer import TOKENIZER_FOLDER

_WORDS = "the tall blue bar of the chart shows more than every other one in this year".split()


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What is measured."""

    hidden_size: int = 384
    """Width of the language model."""
    num_layers: int = 6
    """Layers of the language model."""
    vision_hidden_size: int = 240
    """Width of the vision encoder."""
    vision_num_layers: int = 6
    """Layers of the vision encoder."""
    picture_sizes: tuple[int, ...] = (224, 448)
    """Sides of the square pictures, in pixels."""
    num_responses: tuple[int, ...] = (2, 8)
    """Answers to each prompt."""
    responses_a_step: int = 8
    """Answers in one step, over all prompts."""
    repeats: int = 5
    """Timed steps of each kind."""
    seed: int = 0
    """Of weights, words and pictures."""


def main(arguments: Arguments) -> None:
    """Measures every combination and prints a table."""
    model = make_model(arguments)
    network = model.checkpoint.network
    num_parameters = sum(p.numel() for p in network.parameters())
    print(
        f"Qwen2.5-VL, {num_parameters / 1e6:.0f} M parameters, float32, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"answers of 30 to 90 words, {arguments.responses_a_step} a step"
    )
    print("| picture | answers a prompt | tokens padded | tokens packed | padded s | packed s "
          "| ratio | loss difference |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for size in arguments.picture_sizes:
        for num_responses in arguments.num_responses:
            print(_row(model, arguments, size=size, num_responses=num_responses), flush=True)


def _row(model: RewardModel, arguments: Arguments, *, size: int, num_responses: int) -> str:
    trees = make_trees(model, arguments, size=size, num_responses=num_responses)
    packed, padded = (f(trees, model.encoder.preparation) for f in (pack, pad))
    network = model.checkpoint.network
    step_packed = _stepper(network, packed, num_responses=num_responses)
    step_padded = _stepper(network, padded, num_responses=num_responses)
    difference = abs(step_packed() - step_padded())
    packed_times, padded_times = [], []
    for _ in range(arguments.repeats):
        padded_times.append(seconds_of(step_padded))
        packed_times.append(seconds_of(step_packed))
    slow, fast = statistics.median(padded_times), statistics.median(packed_times)
    return (
        f"| {size} px | {num_responses} | {int(padded.attention_mask.sum())} "
        f"| {packed.input_ids.numel()} | {slow:.2f} | {fast:.2f} | {slow / fast:.2f}x "
        f"| {difference:.1e} |"
    )


def _stepper(
    network: RewardNetwork, batch: PackedBatch | PaddedBatch, *, num_responses: int
) -> Callable[[], float]:
    """A training step on the batch that returns its loss; its rate is 0, so weights stay."""
    optimizer = MasterOptimizer(network, OptimizerConfig())

    def step() -> float:
        loss = loss_of(network(batch), num_responses=num_responses)
        loss.backward()
        optimizer.collect_gradients()
        optimizer.step(learning_rate=0.0)
        return float(loss.detach())

    return step


def loss_of(rewards_R: Tensor, *, num_responses: int) -> Tensor:
    """The first answer of each prompt preferred to every other one."""
    by_prompt = rewards_R.view(-1, num_responses)
    return -torch.nn.functional.logsigmoid(by_prompt[:, :1] - by_prompt[:, 1:]).mean()


def seconds_of(step: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def make_model(arguments: Arguments) -> RewardModel:
    """A random Qwen2.5-VL of these sizes, its vision encoder frozen, packed."""
    sizes = replace(
        ScratchConfig(),
        hidden_size=arguments.hidden_size,
        num_layers=arguments.num_layers,
        num_heads=arguments.hidden_size // 64,
        num_key_value_heads=max(1, arguments.hidden_size // 128),
        vision_hidden_size=arguments.vision_hidden_size,
        vision_num_layers=arguments.vision_num_layers,
        vision_num_heads=max(1, arguments.vision_hidden_size // 48),
    )
    checkpoint = build_scratch(
        sizes,
        load_tokenizer(TOKENIZER_FOLDER),
        text_folder=TOKENIZER_FOLDER,
        head="linear",
        seed=arguments.seed,
    )
    backbones.freeze(checkpoint.network.backbone, vision=True, projector=False, language=False)
    backbones.use_tree_attention(checkpoint.network.backbone)
    return RewardModel(checkpoint, encoder_for(checkpoint, CollationConfig()), packed=True)


def make_trees(
    model: RewardModel, arguments: Arguments, *, size: int, num_responses: int
) -> list[Tree]:
    """As many prompts with a picture of noise as give the answers of a step."""
    rng = random.Random(arguments.seed)
    noise = np.random.default_rng(arguments.seed)

    def words(low: int, high: int) -> str:
        return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(low, high)))

    trees = []
    for _ in range(arguments.responses_a_step // num_responses):
        buffer = io.BytesIO()
        pixels = noise.integers(0, 256, size=(size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, format="PNG")
        content = (admit(buffer.getvalue()), f"{words(30, 30)}?")
        trees.append(
            model.encoder.encode(
                Prompt(messages=(Message(role="user", content=content),)),
                [Response(content=(words(30, 90),)) for _ in range(num_responses)],
            )
        )
    return trees


if __name__ == "__main__":
    main(tyro.cli(Arguments))
