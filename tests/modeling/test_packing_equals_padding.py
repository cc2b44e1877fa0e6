"""The engine's law: packed rewards and gradients are those of plain padded rows."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.support import tiny
from tests.support.reference import plain_model, plain_rewards
from vlreward.collation.encoding import Tree
from vlreward.collation.packing import pack, pad
from vlreward.modeling.network import set_gradient_checkpointing
from vlreward.records import Prompt, Response

TOLERANCE = 1e-5


def _comparisons(
    layout: str, *, num: int, num_responses: int
) -> list[tuple[Prompt, list[Response]]]:
    """Random comparisons of unequal lengths, with pictures where the layout says."""
    rng = random.Random(f"{layout}-{num}-{num_responses}")
    comparisons = []
    for index in range(num):
        pictures = [
            tiny.picture(
                10 * index + k, width=rng.choice([56, 70, 120]), height=rng.choice([40, 90])
            )
            for k in range({"text": 0, "picture": 1, "pictures": 3}.get(layout, 0))
        ]
        content = [tiny.words(rng, 1, 8), *pictures, tiny.words(rng, 1, 20)]
        responses = []
        for k in range(num_responses):
            parts = [tiny.words(rng, 1, 30)]
            if layout == "picture in answers" or (layout == "mixed" and (index + k) % 3 == 0):
                parts.append(tiny.picture(1000 + 10 * index + k, width=56, height=84))
            responses.append(tiny.response(*parts))
        if layout == "mixed" and index % 2:
            content.insert(1, tiny.picture(500 + index))
        comparisons.append((tiny.prompt(*content), responses))
    return comparisons


def _pairwise_loss(rewards: Tensor, trees: list[Tree]) -> Tensor:
    """Every response against the next one of its tree."""
    losses, offset = [], 0
    for tree in trees:
        own = rewards[offset : offset + len(tree.branches)]
        losses.append(-nn.functional.logsigmoid(own[:-1] - own[1:]).mean())
        offset += len(tree.branches)
    return torch.stack(losses).mean()


def _layouts(kind: str) -> tuple[str, ...]:
    if kind in tiny.TEXT_KINDS:
        return ("text",)
    return ("text", "picture", "pictures", "picture in answers", "mixed")


CASES = [(kind, layout) for kind in tiny.KINDS for layout in _layouts(kind)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny")
    return {kind: tiny.write_base_model(root / kind, kind) for kind in tiny.KINDS}


@pytest.mark.parametrize(("kind", "layout"), CASES)
@pytest.mark.parametrize(("num", "num_responses"), [(1, 2), (5, 2), (3, 8)])
def test_packed_rewards_and_gradients_equal_plain_transformers(
    folders: dict[str, Path], kind: str, layout: str, num: int, num_responses: int
) -> None:
    checkpoint = tiny.load_tiny(folders[kind])
    model = tiny.reward_model(checkpoint)
    network = checkpoint.network
    trees = [
        model.encoder.encode(prompt, responses)
        for prompt, responses in _comparisons(layout, num=num, num_responses=num_responses)
    ]
    reference, head = plain_model(folders[kind]), copy.deepcopy(network.head)

    rewards = network(pack(trees, model.encoder.preparation))
    expected = plain_rewards(reference, head, trees, preparation=model.encoder.preparation)
    torch.testing.assert_close(rewards, expected, atol=TOLERANCE, rtol=0)

    _pairwise_loss(rewards, trees).backward()
    _pairwise_loss(expected, trees).backward()
    plain = dict(reference.named_parameters()) | {
        f"head.{name}": parameter for name, parameter in head.named_parameters()
    }
    for name, parameter in network.named_parameters():
        other = plain[name.removeprefix("backbone.")].grad
        if parameter.grad is None or other is None:
            zero = parameter.grad if other is None else other
            assert zero is None or not zero.any(), name
            continue
        torch.testing.assert_close(parameter.grad, other, atol=TOLERANCE, rtol=0, msg=name)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_gradient_checkpointing_changes_no_gradient(folders: dict[str, Path], kind: str) -> None:
    layout = "text" if kind in tiny.TEXT_KINDS else "mixed"
    gradients = []
    for checkpointed in (False, True):
        checkpoint = tiny.load_tiny(folders[kind])
        model = tiny.reward_model(checkpoint)
        network = checkpoint.network.train()
        if checkpointed:
            set_gradient_checkpointing(network)
        trees = [
            model.encoder.encode(prompt, responses)
            for prompt, responses in _comparisons(layout, num=4, num_responses=3)
        ]
        _pairwise_loss(network(pack(trees, model.encoder.preparation)), trees).backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        other = gradients[1][name]
        assert (gradient is None) == (other is None), name
        assert gradient is None or torch.equal(gradient, other), name


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_batch_of_sixteen_equals_its_rows_one_by_one(folders: dict[str, Path], kind: str) -> None:
    layout = "text" if kind in tiny.TEXT_KINDS else "mixed"
    checkpoint = tiny.load_tiny(folders[kind])
    model = tiny.reward_model(checkpoint)
    trees = [
        model.encoder.encode(prompt, responses)
        for prompt, responses in _comparisons(layout, num=16, num_responses=2)
    ]
    with torch.no_grad():
        together = checkpoint.network(pack(trees, model.encoder.preparation))
        alone = torch.cat(
            [checkpoint.network(pack([tree], model.encoder.preparation)) for tree in trees]
        )
        padded = checkpoint.network(pad(trees, model.encoder.preparation))
    torch.testing.assert_close(together, alone, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(together, padded, atol=TOLERANCE, rtol=0)
