"""A reward depends on its prompt and response alone, not on company, order or layout."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import tiny
from vlreward.modeling.network import RewardNetwork
from vlreward.records import Prompt, Response
from vlreward.scoring import RewardModel
from vlreward.training.comparisons import rows_of_batch
from vlreward.training.objectives import PairwiseLoss

TOLERANCE = 1e-5
NUM_COMPARISONS = 24


def comparisons() -> list[tuple[Prompt, list[Response]]]:
    """Text alone, one and several pictures of many sizes, pictures in answers, 1 to 4 responses."""
    rng = random.Random(0)
    out = []
    for index in range(NUM_COMPARISONS):
        pictures = [
            tiny.picture(10 * index + k, width=rng.randint(20, 160), height=rng.randint(20, 160))
            for k in range(index % 3)
        ]
        responses = [tiny.response(tiny.words(rng, 1, 25)) for _ in range(1 + index % 4)]
        if index % 5 == 0:
            responses[0] = tiny.response(tiny.words(rng, 1, 5), tiny.picture(index, width=90))
        out.append((tiny.prompt(*pictures, tiny.words(rng, 1, 25)), responses))
    return out


COMPARISONS = comparisons()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = tiny.write_base_model(tmp_path_factory.mktemp("base"), "qwen2_5_vl")
    return tiny.reward_model(tiny.load_tiny(folder))


@pytest.fixture(scope="module")
def alone(model: RewardModel) -> list[list[float]]:
    """Each response's reward with nothing beside it, in plain padded rows."""
    plain = RewardModel(model.checkpoint, model.encoder, packed=False, token_budget=1)
    return [
        [
            score.value
            for response in responses
            for [score] in plain.score_many([(prompt, [response])])
        ]
        for prompt, responses in COMPARISONS
    ]


def test_the_comparisons_differ_in_their_rewards(alone: list[list[float]]) -> None:
    rewards = [reward for group in alone for reward in group]
    assert len({round(reward, 3) for reward in rewards}) > 0.9 * len(rewards)


@settings(max_examples=25)
@given(
    chosen=st.lists(st.integers(0, NUM_COMPARISONS - 1), min_size=1, max_size=64),
    token_budget=st.sampled_from([1, 100, 700, 3000, 100_000]),
    packed=st.booleans(),
)
def test_company_order_budget_and_layout_change_no_reward(
    model: RewardModel,
    alone: list[list[float]],
    chosen: list[int],
    token_budget: int,
    packed: bool,
) -> None:
    batched = RewardModel(model.checkpoint, model.encoder, packed=packed, token_budget=token_budget)
    found = list(batched.score_many(COMPARISONS[index] for index in chosen))
    for index, scores in zip(chosen, found, strict=True):
        assert [score.value for score in scores] == pytest.approx(alone[index], abs=TOLERANCE)


def test_repeated_calls_are_bitwise_equal(model: RewardModel) -> None:
    assert list(model.score_many(COMPARISONS)) == list(model.score_many(COMPARISONS))


def test_a_response_keeps_its_reward_wherever_it_stands(model: RewardModel) -> None:
    prompt, responses = COMPARISONS[3]
    forward = model.score(prompt, responses)
    backward = model.score(prompt, responses[::-1])
    assert backward[::-1] == pytest.approx(forward, abs=TOLERANCE)


def test_swapping_a_pair_flips_its_margin_and_adds_it_to_the_loss(model: RewardModel) -> None:
    network: RewardNetwork = model.checkpoint.network
    for prompt, responses in [c for c in COMPARISONS if len(c[1]) > 1]:
        pair = tiny.pair(prompt, responses[0], responses[1])
        differences, losses = [], []
        for one in (pair, pair.swapped()):
            [row] = rows_of_batch(
                [one], model.encoder, token_budget=1, packed=True, use_margin=False
            )
            with torch.no_grad():
                rewards = network(row.batch)
            chosen, rejected = rewards[row.chosen_P], rewards[row.rejected_P]
            differences.append(float(chosen - rejected))
            losses.append(float(PairwiseLoss()(chosen, rejected, row.margin_P)))
        assert differences[0] != 0
        assert differences[1] == pytest.approx(-differences[0], abs=TOLERANCE)
        assert losses[1] - losses[0] == pytest.approx(differences[0], abs=TOLERANCE)


def test_a_known_margin_changes_its_sign_with_the_pair(model: RewardModel) -> None:
    prompt, responses = COMPARISONS[3]
    pair = tiny.pair(prompt, responses[0], responses[1])
    pair = replace(pair, judgment=replace(pair.judgment, margin=0.75))
    margins = [
        rows_of_batch([one], model.encoder, token_budget=1, packed=True, use_margin=True)[
            0
        ].margin_P.item()
        for one in (pair, pair.swapped())
    ]
    assert margins == [0.75, -0.75]


@settings(max_examples=60)
@given(
    token=st.sampled_from(
        ["<|image_pad|>", "<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|endoftext|>"]
    ),
    before=st.sampled_from(["", " ", "a ", "<|im_start|>user\n"]),
    place=st.sampled_from(["system", "prompt", "response"]),
)
def test_a_special_token_in_text_is_text(
    model: RewardModel, token: str, before: str, place: str
) -> None:
    def control_tokens(text: str) -> list[int]:
        given = {"system": "Be brief.", "prompt": "Which?", "response": "Left."} | {place: text}
        tree = model.encoder.encode(
            tiny.prompt(tiny.picture(0), given["prompt"], system=given["system"]),
            [tiny.response(given["response"])],
        )
        ids = [*tree.prefix.ids.tolist(), *tree.branches[0].ids.tolist()]
        return [one for one in ids if one in model.encoder.control_ids]

    assert control_tokens(f"{before}{token} b") == control_tokens("plain words")


def test_a_special_token_in_text_scores_as_any_text(model: RewardModel, tmp_path: Path) -> None:
    picture = tiny.picture(0)
    rewards = model.score(
        "Which <|image_pad|> is it?<|im_end|>",
        ["Left.", "Left.<|im_end|>", "<|vision_start|><|image_pad|><|vision_end|>"],
        images=[picture],
    )
    assert len(set(rewards)) == 3
