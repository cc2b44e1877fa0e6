"""A model in this process answers prompts, with pictures and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support import tiny
from vlreward.collation.config import CollationConfig
from vlreward.errors import CheckpointError, ConfigError, DataError
from vlreward.interfaces import Generator
from vlreward.modeling.backbones import use_tree_attention
from vlreward.modeling.checkpoints import load_checkpoint, save_checkpoint
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.folders import find_model_folder
from vlreward.records import Demonstration, PreferencePair
from vlreward.sampling import LocalGenerator, Sampling
from vlreward.training.next_token import NextTokenObjective, answers_right
from vlreward.world.preferences import make_pairs

WARM = Sampling(max_new_tokens=12, temperature=1.5)


@pytest.fixture(scope="module")
def asked() -> list[PreferencePair]:
    """One question to each of some pictures of single shapes."""
    made = (one.pair for one in make_pairs(num_pictures=12, seed=5, split="val"))
    found = {one.prompt.pictures: one for one in made if len(one.prompt.pictures) == 1}
    return list(found.values())[:6]


@pytest.fixture(scope="module")
def shipped() -> LocalGenerator:
    return LocalGenerator.load("miniature-base", sampling=Sampling(max_new_tokens=96))


def tiny_generator(folder: Path, kind: str, sampling: Sampling = WARM) -> LocalGenerator:
    return LocalGenerator.load(tiny.write_base_model(folder, kind), sampling=sampling)


def test_the_shipped_base_answers_what_its_own_next_tokens_are(
    shipped: LocalGenerator, asked: list[PreferencePair]
) -> None:
    checkpoint = load_checkpoint(
        find_model_folder("miniature-base"), dtype=torch.float32, new_head="linear"
    )
    use_tree_attention(checkpoint.network.backbone)
    checkpoint.network.eval()
    objective = NextTokenObjective(
        network=checkpoint.network,
        encoder=encoder_for(checkpoint, CollationConfig()),
        token_budget=4096,
    )
    said = []
    for one in asked:
        [answer] = shipped.sample(one.prompt, num_responses=1, seed=0)
        assert not answer.is_cut and answer.response.model == "miniature-base"
        said.append(Demonstration(prompt=one.prompt, response=answer.response))
    assert list(answers_right(objective, said)) == [True] * len(asked)
    assert len({one.response.text for one in said}) > 1


@pytest.mark.parametrize("kind", tiny.VISION_KINDS)
def test_models_that_see_are_told_apart_by_what_they_see(tmp_path: Path, kind: str) -> None:
    generator: Generator = tiny_generator(tmp_path, kind, Sampling(max_new_tokens=8))
    texts = set()
    for seed in range(3):
        shown = [tiny.picture(seed), "and", tiny.picture(seed + 10, width=140)]
        [one] = generator.generate(tiny.prompt(*shown, "?"), num_responses=1, seed=0)
        texts.add(one.text)
    assert len(texts) > 1


def test_the_seed_decides_what_is_drawn_and_no_random_state_is_moved(tmp_path: Path) -> None:
    generator = tiny_generator(tmp_path, "qwen2_5_vl")
    given = tiny.prompt(tiny.picture(0), "What is this?")
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = (
        [one.text for one in generator.generate(given, num_responses=3, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert first == again != other and len(set(first)) == 3
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_sampling_all_answers_are_the_same(tmp_path: Path) -> None:
    generator = tiny_generator(tmp_path, "llama", Sampling(max_new_tokens=6))
    answers = [
        generator.generate(tiny.prompt("Why?"), num_responses=2, seed=seed) for seed in (0, 1)
    ]
    assert len(answers[0]) == 2 and len({one.text for some in answers for one in some}) == 1


def test_an_answer_at_the_limit_is_cut(
    shipped: LocalGenerator, asked: list[PreferencePair]
) -> None:
    short = LocalGenerator(
        shipped.model,
        shipped.encoder,
        shipped.tokenizer,
        name="short",
        sampling=Sampling(max_new_tokens=1),
    )
    [answer] = short.sample(asked[0].prompt, num_responses=1, seed=0)
    [whole] = shipped.sample(asked[0].prompt, num_responses=1, seed=0)
    assert answer.is_cut and whole.response.text.startswith(answer.response.text)
    assert whole.response != answer.response


def test_prompts_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    generator = tiny_generator(tmp_path / "text", "qwen2")
    with pytest.raises(DataError, match="pictures-for-a-text-model"):
        generator.generate(tiny.prompt(tiny.picture(0), "?"), num_responses=1, seed=0)
    short = LocalGenerator.load(tmp_path / "text", collation=CollationConfig(max_length=16))
    with pytest.raises(DataError, match="row-too-long"):
        short.generate(tiny.prompt("word " * 40), num_responses=1, seed=0)


def test_a_reward_model_is_no_generator(tmp_path: Path) -> None:
    checkpoint = tiny.load_tiny(tiny.write_base_model(tmp_path / "base", "qwen2_5_vl"))
    for layout in ("value-head", "sequence-classification"):
        save_checkpoint(checkpoint, tmp_path / layout, layout=layout)  # type: ignore[arg-type]
        with pytest.raises(CheckpointError, match="was trained from"):
            LocalGenerator.load(tmp_path / layout)


@pytest.mark.parametrize("settings", [{"max_new_tokens": 0}, {"temperature": -1.0}])
def test_settings_that_cannot_be_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Sampling(**settings)  # type: ignore[arg-type]
