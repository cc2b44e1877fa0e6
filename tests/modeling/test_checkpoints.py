"""Saved and loaded again, a model scores the same, in either layout and as others read it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoModelForSequenceClassification

from tests.support import tiny
from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.picture_preparation import load_picture_preparation
from vlreward.errors import CheckpointError
from vlreward.modeling import checkpoints
from vlreward.modeling.checkpoints import (
    FolderLayout,
    RewardCheckpoint,
    RewardSettings,
    load_checkpoint,
    save_checkpoint,
)
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.folders import INDEX, shard_paths
from vlreward.records import Prompt, Response
from vlreward.scoring import RewardModel

LAYOUTS: tuple[FolderLayout, ...] = ("value-head", "sequence-classification")
QWEN_VOCABULARY = 151_936

BaseModels = Callable[..., Path]


@pytest.fixture(scope="module")
def base_models(tmp_path_factory: pytest.TempPathFactory) -> BaseModels:
    """Base models by kind and tying, each written once."""
    root = tmp_path_factory.mktemp("base")

    def find(kind: str, *, tied: bool = False) -> Path:
        folder = root / f"{kind}-{tied}"
        return folder if folder.exists() else tiny.write_base_model(folder, kind, tied=tied)

    return find


def comparisons(kind: str) -> list[tuple[Prompt, list[Response]]]:
    rng = random.Random(kind)
    pictures = [tiny.picture(k) for k in range(3)] if kind in tiny.VISION_KINDS else []
    answers = [tiny.response(tiny.words(rng, 1, 9)) for _ in range(3)]
    return [
        (tiny.prompt(*pictures[:1], "Which one is red?"), answers),
        (tiny.prompt("Why?", *pictures[1:2]), [tiny.response("So.", *pictures[2:]), answers[0]]),
    ]


def rewards(model: RewardModel, kind: str) -> list[float]:
    return [score.value for scores in model.score_many(comparisons(kind)) for score in scores]


def reloaded(
    model: RewardModel, folder: Path, *, layout: FolderLayout, dtype: Any = "float32"
) -> Any:
    model.save(folder, layout=layout)
    return RewardModel.load(folder, dtype=dtype)


def joined(tree: Tree) -> Tensor:
    """The first response's whole row, [1, T]."""
    return torch.from_numpy(np.concatenate([tree.prefix.ids, tree.branches[0].ids]))[None]


def put_bias(model: RewardModel, value: float) -> None:
    with torch.no_grad():
        model.checkpoint.network.head.summary.bias.fill_(value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_saved_model_scores_the_same(
    kind: str, tied: bool, layout: FolderLayout, base_models: BaseModels, tmp_path: Path
) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models(kind, tied=tied)))
    again = reloaded(model, tmp_path / "saved", layout=layout)
    assert again.packed
    assert rewards(again, kind) == rewards(model, kind)
    names = {name for path in shard_paths(tmp_path / "saved") for name in load_file(path)}
    assert not any("lm_head" in name for name in names), "nobody reads an LM head here"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["qwen2_5_vl", "llama"])
def test_a_model_saved_in_many_shards_scores_the_same(
    kind: str,
    layout: FolderLayout,
    base_models: BaseModels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "_MAX_SHARD_SIZE", "200KB")
    model = tiny.reward_model(tiny.load_tiny(base_models(kind)))
    again = reloaded(model, tmp_path / "saved", layout=layout)
    assert (tmp_path / "saved" / INDEX).exists()
    assert len(shard_paths(tmp_path / "saved")) > 2
    assert rewards(again, kind) == rewards(model, kind)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["qwen3_vl", "smollm2"])
def test_half_precision_weights_stay_as_they_are(
    kind: str, dtype: str, layout: FolderLayout, base_models: BaseModels, tmp_path: Path
) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models(kind), dtype=getattr(torch, dtype)))
    again = reloaded(model, tmp_path / "saved", layout=layout, dtype=dtype)
    assert rewards(again, kind) == rewards(model, kind)
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["torch_dtype"] == dtype
    [shard] = shard_paths(tmp_path / "saved")
    backbone = {name: t for name, t in load_file(shard).items() if name != "score.weight"}
    assert {str(t.dtype) for t in backbone.values()} == {f"torch.{dtype}"}


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen3"])
def test_the_mlp_head_is_kept(kind: str, base_models: BaseModels, tmp_path: Path) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models(kind), head="mlp"))
    again = reloaded(model, tmp_path / "saved", layout="value-head")
    assert again.settings.head == "mlp"
    assert rewards(again, kind) == rewards(model, kind)


def test_the_mlp_head_has_no_place_in_the_sequence_classification_layout(
    base_models: BaseModels, tmp_path: Path
) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models("llama"), head="mlp"))
    with pytest.raises(CheckpointError, match=r"kind mlp.*value-head layout"):
        model.save(tmp_path / "saved", layout="sequence-classification")
    assert list(tmp_path.iterdir()) == []


def test_the_bias_is_kept_in_one_layout_and_shifts_all_scores_alike_in_the_other(
    base_models: BaseModels, tmp_path: Path
) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models("qwen2_5_vl")))
    put_bias(model, 1.5)
    before = rewards(model, "qwen2_5_vl")
    with_bias = reloaded(model, tmp_path / "value", layout="value-head")
    without = reloaded(model, tmp_path / "score", layout="sequence-classification")
    assert rewards(with_bias, "qwen2_5_vl") == before
    shifted = [reward - 1.5 for reward in before]
    assert rewards(without, "qwen2_5_vl") == pytest.approx(shifted, abs=1e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_the_true_vocabulary_saves_and_scores_the_same(tied: bool, tmp_path: Path) -> None:
    folder = tiny.write_base_model(
        tmp_path / "base", "qwen2_5_vl", tied=tied, vocab_size=QWEN_VOCABULARY
    )
    model = tiny.reward_model(tiny.load_tiny(folder))
    for layout in LAYOUTS:
        again = reloaded(model, tmp_path / layout, layout=layout)
        assert rewards(again, "qwen2_5_vl") == rewards(model, "qwen2_5_vl")


@pytest.mark.parametrize("kind", tiny.TEXT_KINDS)
def test_transformers_own_classifier_gives_our_scores(
    kind: str, base_models: BaseModels, tmp_path: Path
) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models(kind)))
    model.save(tmp_path / "saved", layout="sequence-classification")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert theirs.num_labels == 1
    prompt, answers = comparisons(kind)[0]
    for answer in answers:
        tree = model.encoder.encode(prompt, [answer])
        ids = joined(tree)
        with torch.no_grad():
            logit = theirs(input_ids=ids).logits.item()
        [score] = model.score(prompt, [answer])
        assert score == pytest.approx(logit, abs=1e-5)


@pytest.mark.parametrize("kind", tiny.TEXT_KINDS)
def test_a_classifier_saved_by_transformers_is_read(
    kind: str, base_models: BaseModels, tmp_path: Path
) -> None:
    base = base_models(kind)
    torch.manual_seed(3)
    theirs = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).eval()
    theirs.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base / name, tmp_path / name)
    model = RewardModel.load(tmp_path)
    prompt, answers = comparisons(kind)[0]
    tree = model.encoder.encode(prompt, answers[:1])
    with torch.no_grad():
        logit = theirs(input_ids=joined(tree)).logits.item()
    assert model.score(prompt, answers[:1]) == pytest.approx([logit], abs=1e-5)


@pytest.mark.parametrize("kind", tiny.VISION_KINDS)
def test_transformers_own_class_finds_every_weight_but_the_lm_head(
    kind: str, base_models: BaseModels, tmp_path: Path
) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models(kind)))
    model.save(tmp_path / "saved")
    theirs, info = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert set(info["missing_keys"]) <= {"lm_head.weight"}
    assert not info["unexpected_keys"]
    assert (
        type(theirs).__name__
        in json.loads((tmp_path / "saved/config.json").read_text())["architectures"]
    )


def test_the_value_head_has_the_published_names(base_models: BaseModels, tmp_path: Path) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models("qwen2_5_vl")))
    model.save(tmp_path / "saved")
    head = load_file(tmp_path / "saved" / "value_head.safetensors")
    assert {name: list(tensor.shape) for name, tensor in head.items()} == {
        "v_head.summary.weight": [1, 64],
        "v_head.summary.bias": [1],
    }
    assert {tensor.dtype for tensor in head.values()} == {torch.float32}


def test_settings_come_back(base_models: BaseModels, tmp_path: Path) -> None:
    settings = RewardSettings(
        head="linear",
        reward_mean=-0.25,
        reward_std=1.75,
        max_length=512,
        overflow="refuse",
        min_pixels=784,
        max_pixels=28 * 28 * 20,
    )
    model = tiny.reward_model(tiny.load_tiny(base_models("qwen2_5_vl"))).with_settings(settings)
    again = reloaded(model, tmp_path / "saved", layout="value-head")
    assert again.settings == settings
    assert (again.encoder.max_length, again.encoder.overflow) == (512, "refuse")
    preparation = again.encoder.preparation
    assert (preparation.min_pixels, preparation.max_pixels) == (784, 28 * 28 * 20)


@pytest.mark.parametrize("source", ["preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl"])
def test_the_pixel_limits_trained_with_are_written_where_others_read_them(
    kind: str, source: str, base_models: BaseModels, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(base_models(kind), base)
    published = json.loads((base / "preprocessor_config.json").read_text())
    if source == "processor_config.json":
        (base / "preprocessor_config.json").unlink()
        nested = {"image_processor": published, "processor_class": "Processor"}
        (base / source).write_text(json.dumps(nested))
    settings = RewardSettings(max_pixels=28 * 28 * 20)
    model = tiny.reward_model(tiny.load_tiny(base)).with_settings(settings)
    model.save(tmp_path / "saved")
    written = json.loads((tmp_path / "saved" / "preprocessor_config.json").read_text())
    assert written["max_pixels"] == written["size"]["longest_edge"] == 28 * 28 * 20
    assert written["min_pixels"] == written["size"]["shortest_edge"] == published["min_pixels"]
    ours, original = load_picture_preparation(tmp_path / "saved"), load_picture_preparation(base)
    assert ours.max_pixels == 28 * 28 * 20
    assert (ours.patch_size, ours.min_pixels) == (original.patch_size, original.min_pixels)
    assert ours.mean == pytest.approx(original.mean)


def test_a_new_head_is_the_same_for_the_same_seed(base_models: BaseModels) -> None:
    heads = [
        load_checkpoint(base_models("llama"), dtype=torch.float32, new_head="mlp", seed=seed)
        .network.head.state_dict()["summary.weight"]
        .tolist()
        for seed in (0, 0, 1)
    ]
    assert heads[0] == heads[1] != heads[2]


def test_a_reward_model_trained_further_keeps_its_head(
    base_models: BaseModels, tmp_path: Path
) -> None:
    model = tiny.reward_model(tiny.load_tiny(base_models("llama"), head="mlp"))
    model.save(tmp_path / "saved")
    again = load_checkpoint(tmp_path / "saved", dtype=torch.float32, new_head="linear", seed=9)
    assert again.settings.head == "mlp"
    assert torch.equal(
        again.network.head.summary.weight, model.checkpoint.network.head.summary.weight
    )


def test_a_folder_that_has_content_is_not_written_over(
    base_models: BaseModels, tmp_path: Path
) -> None:
    checkpoint: RewardCheckpoint = tiny.load_tiny(base_models("llama"))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Exception, match="Choose another path"):
        save_checkpoint(checkpoint, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_encoder_follows_the_collation_given(base_models: BaseModels) -> None:
    checkpoint = tiny.load_tiny(base_models("qwen2_5_vl"))
    encoder: Encoder = encoder_for(
        checkpoint, CollationConfig(max_length=99, overflow="refuse", max_pixels=5000)
    )
    assert (encoder.max_length, encoder.overflow) == (99, "refuse")
    assert encoder.preparation is not None
    assert encoder.preparation.max_pixels == 5000
