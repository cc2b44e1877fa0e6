"""What a backbone is, which of its parts stand still, and whether packing is exact for it."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM, PreTrainedConfig

from tests.support import tiny
from tests.support.reference import plain_rewards
from vlreward.collation.packing import pack
from vlreward.errors import ConfigError
from vlreward.modeling import attention, backbones
from vlreward.modeling.checkpoints import save_checkpoint
from vlreward.modeling.network import RewardNetwork
from vlreward.scoring import RewardModel

DEEPSTACK = re.compile(r"visual\.deepstack_merger_list\.")
MERGER = re.compile(r"visual\.merger\.")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny")
    return {kind: tiny.write_base_model(root / kind, kind) for kind in tiny.KINDS}


def part_by_module(network: RewardNetwork) -> dict[str, str]:
    """Which part each parameter is of, told from the module tree and not from our code."""
    backbone: Any = network.backbone
    mergers = [backbone.visual.merger, *getattr(backbone.visual, "deepstack_merger_list", [])]
    projector = {id(p) for merger in mergers for p in merger.parameters()}
    vision = {id(p) for p in backbone.visual.parameters()} - projector
    return {
        name: "projector"
        if id(parameter) in projector
        else "vision"
        if id(parameter) in vision
        else "language"
        for name, parameter in backbone.named_parameters()
    }


@pytest.mark.parametrize("frozen", list(product([True, False], repeat=3)))
@pytest.mark.parametrize("kind", tiny.VISION_KINDS)
def test_frozen_parts_get_no_gradient_and_all_others_do(
    kind: str, frozen: tuple[bool, bool, bool], folders: dict[str, Path]
) -> None:
    checkpoint = tiny.load_tiny(folders[kind])
    model = tiny.reward_model(checkpoint)
    network = checkpoint.network
    stopped = dict(zip(("vision", "projector", "language"), frozen, strict=True))
    backbones.freeze(network.backbone, **stopped)
    tree = model.encoder.encode(
        tiny.prompt(tiny.picture(0), "Which one?"), [tiny.response("This."), tiny.response("That")]
    )
    rewards = network(pack([tree], model.encoder.preparation))
    (rewards[0] - rewards[1]).backward()
    moved: dict[str, bool] = {"vision": False, "projector": False, "language": False}
    for name, part in part_by_module(network).items():
        parameter = network.backbone.get_parameter(name)
        assert parameter.requires_grad is not stopped[part], name
        moved[part] |= parameter.grad is not None and bool(parameter.grad.any())
        assert parameter.grad is None or not stopped[part], name
    assert moved == {part: not still for part, still in stopped.items()}
    assert network.head.summary.weight.grad is not None


def test_qwen3_vls_deepstack_mergers_are_projector(folders: dict[str, Path]) -> None:
    network = tiny.load_tiny(folders["qwen3_vl"]).network
    names = [name for name, _ in network.backbone.named_parameters() if DEEPSTACK.search(name)]
    assert names
    assert {backbones.part_of(name) for name in names} == {"projector"}


@pytest.mark.parametrize("kind", tiny.VISION_KINDS)
def test_every_part_of_a_vision_model_has_parameters(kind: str, folders: dict[str, Path]) -> None:
    network = tiny.load_tiny(folders[kind]).network
    names = [name for name, _ in network.backbone.named_parameters()]
    assert {backbones.part_of(name) for name in names} == {"vision", "projector", "language"}
    assert all(backbones.part_of(n) == "projector" for n in names if MERGER.search(n))


@pytest.mark.parametrize("kind", tiny.TEXT_KINDS)
def test_text_decoders_are_all_language(kind: str, folders: dict[str, Path]) -> None:
    network = tiny.load_tiny(folders[kind]).network
    names = [name for name, _ in network.backbone.named_parameters()]
    assert {backbones.part_of(name) for name in names} == {"language"}


def config_of(kind: str, **fields: Any) -> PreTrainedConfig:
    found: PreTrainedConfig = CONFIG_MAPPING[kind](**fields)
    return found


@pytest.mark.parametrize(
    "kind",
    ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llama", "qwen2", "qwen3", "mistral", "smollm3"],
)
def test_plain_decoders_are_packed(kind: str) -> None:
    assert backbones.explain_unpackable(config_of(kind)) is None


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("gemma2", "caps logits"),
        ("qwen3_next", "linear_attention"),
        ("qwen3_5_text", "linear_attention"),
        ("llama4_text", "chunked_attention"),
        ("gpt_oss", "sinks"),
        ("doge", "masks of its own"),
        ("nemotron", "keep back"),
        ("mamba", "linear_attention"),
        ("bloom", "AttentionInterface"),
        ("gptj", "AttentionInterface"),
        ("stablelm", "AttentionInterface"),
        ("t5", "encoder-decoder"),
    ],
)
def test_backbones_that_packing_would_get_wrong_are_explained(kind: str, why: str) -> None:
    explained = backbones.explain_unpackable(config_of(kind))
    assert explained is not None
    assert why in explained


UNPACKABLE_SIZES: dict[str, Any] = {
    "vocab_size": tiny.VOCABULARY_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
OWN_SIZES: dict[str, dict[str, Any]] = {
    "qwen3_next": {
        "layer_types": ["linear_attention", "full_attention"],
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "linear_num_key_heads": 1,
        "linear_num_value_heads": 2,
    },
    "gemma2": {},
    "bloom": {},
}


@pytest.mark.parametrize("kind", OWN_SIZES)
def test_a_backbone_that_cannot_be_packed_scores_as_plain_rows(kind: str, tmp_path: Path) -> None:
    base = tiny.write_base_model(tmp_path / "base", "llama")
    config = config_of(kind, **UNPACKABLE_SIZES, **OWN_SIZES[kind])
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(base)
    save_checkpoint(tiny.load_tiny(base), tmp_path / "reward")
    model = RewardModel.load(tmp_path / "reward")
    assert not model.packed
    prompt = tiny.prompt("Which one is red?")
    answers = [tiny.response("This one."), tiny.response("The small one on the right, I think.")]
    trees = [model.encoder.encode(prompt, [answer]) for answer in answers]
    plain = AutoModel.from_pretrained(tmp_path / "reward").eval()
    with torch.no_grad():
        expected = [
            plain_rewards(plain, model.checkpoint.network.head, [tree], preparation=None).item()
            for tree in trees
        ]
    assert model.score(prompt, answers) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["llava_onevision", "paligemma", "qwen3_5", "qwen2_5_omni"])
def test_vision_models_of_other_kinds_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"{kind}.*qwen2_vl, qwen2_5_vl, qwen3_vl"):
        backbones.is_vision_language(config_of(kind))


def test_qwen2s_models_open_with_a_system_message_and_qwen3_vl_does_not() -> None:
    opening = {kind: backbones.has_default_system(config_of(kind)) for kind in tiny.VISION_KINDS}
    assert opening == {"qwen2_vl": True, "qwen2_5_vl": True, "qwen3_vl": False}


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_only_the_language_model_changes_its_attention(kind: str, folders: dict[str, Path]) -> None:
    backbone = tiny.load_tiny(folders[kind]).network.backbone
    vision = getattr(backbone.config, "vision_config", None)
    before = None if vision is None else vision._attn_implementation
    backbones.use_tree_attention(backbone)
    assert backbone.config.get_text_config()._attn_implementation == attention.NAME
    assert vision is None or vision._attn_implementation == before != attention.NAME
    with backbones.plain_attention(backbone):
        assert backbone.config.get_text_config()._attn_implementation == "sdpa"
    assert backbone.config.get_text_config()._attn_implementation == attention.NAME


def test_plain_attention_ends_after_an_error(folders: dict[str, Path]) -> None:
    backbone = tiny.load_tiny(folders["llama"]).network.backbone
    backbones.use_tree_attention(backbone)
    with pytest.raises(RuntimeError), backbones.plain_attention(backbone):
        raise RuntimeError
    assert backbone.config._attn_implementation == attention.NAME


def test_a_backbone_without_tree_attention_keeps_its_own_on_padded_rows(
    folders: dict[str, Path],
) -> None:
    backbone = tiny.load_tiny(folders["llama"]).network.backbone
    backbone.set_attn_implementation("eager")
    with backbones.plain_attention(backbone):
        assert backbone.config._attn_implementation == "eager"
    assert backbone.config._attn_implementation == "eager"


def test_plain_attention_is_eager_where_a_backbone_has_no_sdpa() -> None:
    backbone = AutoModel.from_config(config_of("gemma2", **UNPACKABLE_SIZES))
    backbones.use_tree_attention(backbone)
    with backbones.plain_attention(backbone):
        assert backbone.config._attn_implementation == "eager"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["qwen2_5_vl", "llama"])
def test_half_precision_rewards_are_near_those_of_float32(
    kind: str, dtype: torch.dtype, folders: dict[str, Path]
) -> None:
    rewards = []
    for precision in (torch.float32, dtype):
        checkpoint = tiny.load_tiny(folders[kind], dtype=precision)
        model = tiny.reward_model(checkpoint)
        assert checkpoint.network.head.summary.weight.dtype == torch.float32
        found = model.score("Which one is red?", ["The left one.", "The blue one on the right."])
        rewards.append(torch.tensor(found))
    torch.testing.assert_close(rewards[1], rewards[0], atol=0.05, rtol=0.05)
