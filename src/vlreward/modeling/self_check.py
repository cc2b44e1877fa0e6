"""At start-up: the packed layout must give the numbers of plain padded rows, on this very model.

It takes two forward passes of a hundred tokens and catches what would be silent otherwise: an
attention that ignores the tree, positions that got lost, a layer kind that looks across rows.
A sliding window is wider than these rows: its place in the layout is proved by the tests alone.
"""

from __future__ import annotations

import copy
import io
import sys

import numpy as np
import torch
from PIL import Image

from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.packing import pack, pad
from vlreward.errors import ConfigError
from vlreward.modeling.network import RewardNetwork
from vlreward.pictures import admit
from vlreward.records import Message, Part, Prompt, Response

_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 2e-2}


@torch.no_grad()
def check_packing(network: RewardNetwork, encoder: Encoder) -> float:
    """The relative difference of packed and padded hidden states on two small trees.

    Raises ConfigError if it exceeds what the precision explains.
    """
    unlimited = copy.copy(encoder)
    unlimited.max_length = sys.maxsize
    trees = [_tree(unlimited, seed=0), _tree(unlimited, seed=1)]
    was_training = network.training
    network.eval()
    try:
        packed = network.hidden_states(pack(trees, encoder.preparation).to(network.device)).float()
        padded = network.hidden_states(pad(trees, encoder.preparation).to(network.device)).float()
    finally:
        network.train(was_training)
    difference = float((packed - padded).norm() / padded.norm().clamp(min=1e-12))
    dtype = next(network.backbone.parameters()).dtype
    if not difference <= _TOLERANCE[dtype]:
        raise ConfigError(
            "packing-not-exact",
            value=f"packed and padded hidden states differ by {difference:.2g} (relative)",
            place="model.layout",
            expected=f"at most {_TOLERANCE[dtype]:g} in {dtype}",
            mend="Set layout to padded for this backbone, and report the model class.",
        )
    return difference


def _tree(encoder: Encoder, *, seed: int) -> Tree:
    """A prompt with two answers of different length; with a picture of noise where one fits."""
    content: list[Part] = ["Which of these is right, and why?"]
    if encoder.preparation is not None:
        random = np.random.default_rng(seed)
        noise = random.integers(0, 256, size=(64, 96 + 32 * seed, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, format="PNG")
        content.append(admit(buffer.getvalue()))
    return encoder.encode(
        Prompt(messages=(Message(role="user", content=tuple(content)),)),
        [Response(content=("The first one.",)), Response(content=("Neither of them is right.",))],
    )
