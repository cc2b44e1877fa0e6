"""What only a GPU can show: bfloat16 against float32, FlexAttention, bitwise resume.

    python benchmarks/gpu.py --output runs/gpu
    python benchmarks/train_throughput.py --peers benchmarks/interop/peers --cases 3b-448 \
        --dtype bfloat16 --trainers vlreward "vlreward, flex" "vlreward, pictures encoded ahead" \
        ms-swift

The first command takes some minutes and prints three tables; the second is the speed beside
ms-swift. Weights are random, of Qwen2.5-VL-3B's shape unless the flags say otherwise; a GPU of
40 GiB is enough. `--device cpu --shape tiny` tries the script without a GPU, where FlexAttention
has no backward pass and is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import engine
import torch
import tyro

from vlreward import configuration
from vlreward.collation.packing import PackedBatch, pack, pad
from vlreward.durable import write_text_atomically
from vlreward.modeling import backbones
from vlreward.modeling.config import ScratchConfig, TreeKernel
from vlreward.modeling.network import RewardNetwork
from vlreward.recipes.scratch import scratch
from vlreward.scoring import RewardModel
from vlreward.sources.write import write_parquet
from vlreward.world.preferences import make_pairs

_KERNELS: tuple[TreeKernel, ...] = ("segments", "flex")
_SHAPES = {
    "3b": engine.Arguments(
        hidden_size=2048, num_layers=36, vision_hidden_size=1296, vision_num_layers=32
    ),
    "tiny": engine.Arguments(
        hidden_size=128, num_layers=2, vision_hidden_size=96, vision_num_layers=2
    ),
}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What is measured, and on what."""

    output: Path = Path("runs/gpu")
    """Folder of the runs and of the tables."""
    device: str = "cuda"
    """Where to compute."""
    shape: Literal["3b", "tiny"] = "3b"
    """Sizes of the model."""
    responses_a_step: int = 16
    """Responses of a row, over all its prompts."""
    repeats: int = 5
    """Timed passes of each kind."""


def main(arguments: Arguments) -> None:
    """Measures everything and prints it."""
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    sizes = replace(_SHAPES[arguments.shape], responses_a_step=arguments.responses_a_step)
    model = engine.make_model(sizes)
    network = model.checkpoint.network.to(device)
    lines = [f"{name}, torch {torch.__version__}, Qwen2.5-VL of random weights, {arguments.shape}"]
    lines += ["", *_kernels(model, sizes, arguments)]
    lines += ["", *_parity(model, sizes)]
    del model, network
    lines += ["", *_resume(arguments)]
    text = "\n".join(lines) + "\n"
    write_text_atomically(arguments.output / "tables.md", text)
    print(text)


def _kernels(model: RewardModel, sizes: engine.Arguments, arguments: Arguments) -> list[str]:
    """Rewards and gradients in float32, and the time of a pass in both directions."""
    network = model.checkpoint.network
    lines = [
        "| picture | answers a prompt | tokens | attention | s forward and back | rewards differ "
        "| gradients differ |",
        "|---|---|---|---|---|---|---|",
    ]
    for size in sizes.picture_sizes:
        for number in sizes.num_responses:
            trees = engine.make_trees(model, sizes, size=size, num_responses=number)
            batch = pack(trees, model.encoder.preparation).to(network.device)
            rewards, gradient = None, None
            for kernel in _usable(network):
                backbones.use_tree_attention(network.backbone, kernel=kernel)
                with_graph = network(batch)
                engine.loss_of(with_graph, num_responses=number).backward()
                found, own = with_graph.detach(), _language_gradient(network)
                rewards = found if rewards is None else rewards
                gradient = own if gradient is None else gradient
                seconds = _seconds(network, batch, number=number, repeats=arguments.repeats)
                lines.append(
                    f"| {size} px | {number} | {batch.num_tokens} | {kernel} | {seconds:.3f} "
                    f"| {float((found - rewards).abs().max()):.1e} "
                    f"| {float((own - gradient).norm() / gradient.norm()):.1e} |"
                )
    return lines


def _parity(model: RewardModel, sizes: engine.Arguments) -> list[str]:
    """How far bfloat16 is from padded float32, in units of the rewards' own spread."""
    network = model.checkpoint.network
    lines = [
        "| layout, attention | mean distance / spread of rewards | largest |",
        "|---|---|---|",
    ]
    trees = [
        tree
        for number in sizes.num_responses
        for tree in engine.make_trees(model, sizes, size=224, num_responses=number)
    ]
    layouts = {
        "padded": pad(trees, model.encoder.preparation).to(network.device),
        "packed": pack(trees, model.encoder.preparation).to(network.device),
    }
    with torch.no_grad():
        exact = network(layouts["padded"])
        network.backbone.to(torch.bfloat16)
        for layout, batch in layouts.items():
            for kernel in _usable(network) if layout == "packed" else ("SDPA",):
                if kernel != "SDPA":
                    backbones.use_tree_attention(network.backbone, kernel=kernel)
                apart = (network(batch) - exact).abs() / exact.std()
                lines.append(
                    f"| {layout}, {kernel} | {float(apart.mean()):.1e} | {float(apart.max()):.1e} |"
                )
    return lines


def _usable(network: RewardNetwork) -> Sequence[TreeKernel]:
    return _KERNELS if network.device.type == "cuda" else _KERNELS[:1]


def _language_gradient(network: RewardNetwork) -> torch.Tensor:
    """All gradients of the language model's first layer, which are then forgotten."""
    layer = network.backbone.get_decoder().layers[0]
    gradients = [one.grad.flatten() for one in layer.parameters() if one.grad is not None]
    found = torch.cat(gradients)
    network.zero_grad(set_to_none=True)
    return found


def _seconds(network: RewardNetwork, batch: PackedBatch, *, number: int, repeats: int) -> float:
    """The median of passes forward and back, after one that compiles what is to be compiled."""

    def step() -> None:
        engine.loss_of(network(batch), num_responses=number).backward()
        network.zero_grad(set_to_none=True)
        if network.device.type == "cuda":
            torch.cuda.synchronize(network.device)

    step()
    return statistics.median(engine.seconds_of(step) for _ in range(repeats))


def _resume(arguments: Arguments) -> list[str]:
    """Whether a run that was killed twice ends with the bits of one that was not."""
    folder = arguments.output / "resume"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [one.pair for one in make_pairs(num_pictures=80, seed=0, split="train")]
    write_parquet(pairs, folder / "pairs.parquet")
    digests = [
        _trained(folder / name, folder / "pairs.parquet", num_kills=num_kills)
        for name, num_kills in (("whole", 0), ("killed", 2))
    ]
    told = "the same bits" if digests[0] == digests[1] else "OTHER BITS"
    return [f"A run killed twice and one that was not, `deterministic`: {told}."]


def _trained(output: Path, data: Path, *, num_kills: int) -> str:
    """The digest of the weights of a short run, killed and started again so often."""
    config = scratch(data=[str(data)], output=str(output))
    config = replace(
        config,
        deterministic=True,
        save_every_steps=2,
        model=replace(
            config.model,
            scratch=ScratchConfig(hidden_size=128, num_layers=2, vision_num_layers=2),
        ),
        stages=tuple(replace(one, epochs=1, batch_size=8) for one in config.stages),
    )
    file = output.with_suffix(".yaml")
    file.write_text(configuration.to_yaml(config))
    command = [sys.executable, "-m", "vlreward", "train", "--from", str(file)]
    for kill in range(1, num_kills + 1):
        _killed_after(command, output / "events.jsonl", num_steps=5 * kill)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    weights = sorted((output / "model").glob("*.safetensors"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in weights)).hexdigest()


def _killed_after(command: Sequence[str], events: Path, *, num_steps: int) -> None:
    """Starts a run and kills it, with no time to save, once it has made so many steps."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **silent)
    while process.poll() is None and _num_steps(events) < num_steps:
        time.sleep(0.02)
    if process.poll() is not None:
        raise SystemExit(f"The run ended with {process.returncode} before it could be killed.")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def _num_steps(events: Path) -> int:
    if not events.exists():
        return 0
    lines = events.read_text(encoding="utf-8").splitlines()
    return max((json.loads(line).get("step", 0) for line in lines[:-1]), default=0)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
