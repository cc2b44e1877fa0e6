"""AdamW by the rows that are used comes to what AdamW on all rows does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from vlreward.training.config import OptimizerConfig
from vlreward.training.embedding_adamw import sparse_gradients
from vlreward.training.optimizer import MasterOptimizer

NUM_ROWS, WIDTH = 40, 8


class Reader(nn.Module):
    """Looks ids up and sums what a linear layer makes of them."""

    def __init__(self, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(NUM_ROWS, WIDTH)
        self.out = nn.Linear(WIDTH, 1)
        self.to(dtype)

    def forward(self, ids: Tensor) -> Tensor:
        loss: Tensor = self.out(self.words(ids)).float().pow(2).mean()
        return loss


def batches(*, num_steps: int, among: int) -> Iterator[Tensor]:
    """Ids that repeat within a batch, some of them first met late."""
    generator = torch.Generator().manual_seed(1)
    for step in range(num_steps):
        limit = among if step > num_steps // 2 else among // 2
        yield torch.randint(0, limit, (12,), generator=generator)


def train(
    net: Reader, ids: Iterator[Tensor], optimizer: MasterOptimizer, *, rate: float = 1e-2
) -> list[float]:
    """Two backward passes a step; the gradients' norms."""
    norms = []
    for batch in ids:
        for part in batch.split(6):
            net(part).backward()
            optimizer.collect_gradients()
        norms.append(optimizer.step(rate))
    return norms


@pytest.mark.parametrize(
    ("dtype", "rounding"),
    [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)],  # dense ones sum a word's uses in bfloat16
)
@pytest.mark.parametrize("among", [10, NUM_ROWS], ids=["few rows", "all rows"])
def test_weights_and_norms_are_those_of_dense_gradients(
    among: int, dtype: torch.dtype, rounding: float
) -> None:
    config = OptimizerConfig(max_gradient_norm=0.05)
    dense, sparse = Reader(dtype=dtype), Reader(dtype=dtype)
    expected = train(dense, batches(num_steps=20, among=among), MasterOptimizer(dense, config))
    with sparse_gradients(sparse):
        optimizer = MasterOptimizer(sparse, config)
        norms = train(sparse, batches(num_steps=20, among=among), optimizer)
    assert norms == pytest.approx(expected, rel=rounding)
    for one, other in zip(sparse.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=rounding, atol=rounding / 100)
    never = sparse.words.weight[among:].detach()
    assert torch.equal(never, Reader(dtype=dtype).words.weight[among:].detach())


def test_only_rows_with_gradients_are_stepped() -> None:
    net = Reader()
    with sparse_gradients(net):
        optimizer = MasterOptimizer(net, OptimizerConfig())
        train(net, iter([torch.tensor([3, 3, 7, 7, 7, 7])]), optimizer)
    state = optimizer.state()
    assert state["words.weight/touched"].nonzero()[:, 0].tolist() == [3, 7]
    assert state["words.weight/exp_avg_sq"].any(dim=1).nonzero()[:, 0].tolist() == [3, 7]


def test_the_state_goes_on_bit_for_bit() -> None:
    config = OptimizerConfig()
    whole, halves = Reader(), Reader()
    ids = list(batches(num_steps=8, among=20))
    with sparse_gradients(whole), sparse_gradients(halves):
        train(whole, iter(ids), MasterOptimizer(whole, config))
        first = MasterOptimizer(halves, config)
        train(halves, iter(ids[:4]), first)
        second = MasterOptimizer(halves, config)
        second.load_state(first.state())
        train(halves, iter(ids[4:]), second)
    for one, other in zip(halves.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_state_of_plain_adamw_can_be_gone_on_with() -> None:
    config = OptimizerConfig()
    plain, changed = Reader(), Reader()
    ids = list(batches(num_steps=8, among=NUM_ROWS))
    first = MasterOptimizer(plain, config)
    train(plain, iter(ids[:4]), first)
    changed.load_state_dict(plain.state_dict())
    with sparse_gradients(changed):
        second = MasterOptimizer(changed, config)
        second.load_state(first.state())
        train(changed, iter(ids[4:]), second)
    train(plain, iter(ids[4:]), first)
    torch.testing.assert_close(changed.words.weight, plain.words.weight)


def test_rows_first_met_under_plain_adamw_in_between_are_stepped_afterwards() -> None:
    """A run may go from one process to several, which know dense gradients alone, and back."""
    config = OptimizerConfig()
    plain, changed = Reader(), Reader()
    few, all_rows = (list(batches(num_steps=4, among=among)) for among in (4, NUM_ROWS))
    first = MasterOptimizer(plain, config)
    train(plain, iter([*few, *all_rows, *few]), first)
    state = None
    for ids, is_sparse in ((few, True), (all_rows, False), (few, True)):
        with sparse_gradients(changed) if is_sparse else nullcontext():
            optimizer = MasterOptimizer(changed, config)
            optimizer.load_state(state or {})
            train(changed, iter(ids), optimizer)
            state = optimizer.state()
    torch.testing.assert_close(changed.words.weight, plain.words.weight)


def test_a_rows_gradient_that_is_not_finite_changes_nothing() -> None:
    net = Reader()
    before = [parameter.detach().clone() for parameter in net.parameters()]
    with sparse_gradients(net):
        optimizer = MasterOptimizer(net, OptimizerConfig())
        (net(torch.tensor([1, 2])) * torch.inf).backward()
        optimizer.collect_gradients()
        assert not torch.isfinite(torch.tensor(optimizer.step(1e-2)))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))


def test_tied_and_frozen_embeddings_keep_dense_gradients() -> None:
    tied, frozen = Reader(), Reader()
    tied.head = nn.Linear(WIDTH, NUM_ROWS, bias=False)
    tied.head.weight = tied.words.weight
    frozen.words.requires_grad_(False)
    with sparse_gradients(tied), sparse_gradients(frozen):
        assert not tied.words.sparse and not frozen.words.sparse


def test_afterwards_gradients_are_dense_again() -> None:
    net = Reader()
    with sparse_gradients(net):
        assert net.words.sparse
    net(torch.tensor([1])).backward()
    assert net.words.weight.grad is not None and not net.words.weight.grad.is_sparse


def test_weights_that_serve_elsewhere_in_a_pass_are_stepped_whole() -> None:
    dense, sparse = Reader(), Reader()

    def lesson(net: Reader) -> Tensor:
        return net(torch.tensor([1, 2])) + net.words.weight.sum()

    for net in (dense, sparse):
        with sparse_gradients(net) if net is sparse else sparse_gradients(nn.Module()):
            optimizer = MasterOptimizer(net, OptimizerConfig())
            for _ in range(3):
                lesson(net).backward()
                optimizer.collect_gradients()
                optimizer.step(1e-2)
    torch.testing.assert_close(sparse.words.weight, dense.words.weight)
