"""How much of the machine's matrix-product peak a training step turns into useful work.

    python benchmarks/roofline.py

Useful are the operations that no exact method could leave out: each distinct token once, of
attention the pairs that may see each other, of the frozen vision encoder the forward pass, of the
last layer what is read. Counted are torch's own (`FlopCounterMode`), those of the language model's
attention by formula, since the counter knows no masks. A step is forward, backward and optimizer.
The peak is that of the best of several square products, in the same process and on as many threads,
measured anew before each step.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import engine
import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode

from vlreward.collation.encoding import Tree
from vlreward.collation.packing import pack
from vlreward.modeling.network import RewardNetwork
from vlreward.training.config import OptimizerConfig
from vlreward.training.embedding_adamw import sparse_gradients
from vlreward.training.optimizer import MasterOptimizer

_PRODUCT_SIZES = (512, 1024, 1536, 2048)


@dataclass(frozen=True, kw_only=True)
class Arguments(engine.Arguments):
    """What is measured."""

    hidden_size: int = 512
    num_layers: int = 8
    vision_hidden_size: int = 384
    vision_num_layers: int = 8
    responses_a_step: int = 16


def main(arguments: Arguments) -> None:
    """Measures every combination and prints a table."""
    model = engine.make_model(arguments)
    network = model.checkpoint.network
    body = sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if "embed_tokens" not in name
    )
    print(
        f"Qwen2.5-VL, body of {body / 1e6:.0f} M parameters, float32, "
        f"{torch.get_num_threads()} thread(s), torch {torch.__version__}"
    )
    print("| picture | answers a prompt | useful GFLOP | s a step | GFLOP/s | peak | share |")
    print("|---|---|---|---|---|---|---|")
    for size in arguments.picture_sizes:
        for num_responses in arguments.num_responses:
            trees = engine.make_trees(model, arguments, size=size, num_responses=num_responses)
            batch = pack(trees, model.encoder.preparation)

            def loss(num_responses: int = num_responses, batch=batch) -> torch.Tensor:
                return engine.loss_of(network(batch), num_responses=num_responses)

            useful = _useful_flops(network, trees, loss)
            seconds, peak = _measure(network, loss, repeats=arguments.repeats)
            rate = useful / seconds
            print(
                f"| {size} px | {num_responses} | {useful / 1e9:.0f} | {seconds:.2f} "
                f"| {rate / 1e9:.0f} | {peak / 1e9:.0f} | {rate / peak:.2f} |",
                flush=True,
            )


def _useful_flops(
    network: RewardNetwork, trees: list[Tree], loss: Callable[[], torch.Tensor]
) -> float:
    """Of one forward and backward pass."""
    with FlopCounterMode(display=False) as counter:
        loss().backward()
    network.zero_grad()
    counts = counter.get_flop_counts()
    counted = sum(counts["Global"].values())
    [language] = [name for name in counts if name.endswith(".language_model")]
    attention = sum(n for op, n in counts[language].items() if "attention" in str(op))
    return float(counted - attention + _attention_flops(network, trees))


def _attention_flops(network: RewardNetwork, trees: list[Tree]) -> float:
    """Two products of a head's width for each pair that sees each other, and twice that backward.

    The last layer has only the queries that are read.
    """
    text = network.backbone.config.get_text_config()
    width = text.hidden_size
    pairs = last = 0
    for tree in trees:
        shared = len(tree.prefix)
        pairs += shared * (shared + 1) // 2
        for branch in tree.branches:
            own = len(branch)
            pairs += own * shared + own * (own + 1) // 2
            last += shared + own
    return 3 * 4 * width * ((text.num_hidden_layers - 1) * pairs + last)


def _measure(
    network: RewardNetwork, loss: Callable[[], torch.Tensor], *, repeats: int
) -> tuple[float, float]:
    """The median step in seconds, and the best product in operations a second, taken in turn."""
    with sparse_gradients(network):
        optimizer = MasterOptimizer(network, OptimizerConfig())

        def step() -> None:
            loss().backward()
            optimizer.collect_gradients()
            optimizer.step(learning_rate=0.0)

        step()
        peaks, times = [], []
        for _ in range(repeats):
            peaks.append(max(map(_product_rate, _PRODUCT_SIZES)))
            times.append(engine.seconds_of(step))
    return statistics.median(times), statistics.median(peaks)


def _product_rate(size: int) -> float:
    """Operations a second of a square product; the best of three."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


if __name__ == "__main__":
    main(tyro.cli(Arguments))
