"""LLaVA, InternVL, Idefics3, SmolVLM and Gemma-3: rows, rewards, gradients, files and training."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoModel, Gemma3Processor, Idefics3Processor, LlavaProcessor

from tests.support import tiny
from tests.support.families import FAMILIES, PACKABLE, PATCH, image_processor, write_family
from tests.support.training import tiny_config
from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.packing import pack, pad
from vlreward.errors import ConfigError, DataError
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint, save_checkpoint
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.self_check import check_packing
from vlreward.pictures import open_rgb
from vlreward.records import Picture, Prompt, Response
from vlreward.sampling import LocalGenerator, Sampling
from vlreward.scoring import RewardModel
from vlreward.training.run import train

TOLERANCE = 1e-5
WIDE, TALL, SMALL = (
    tiny.picture(1, width=90, height=60),
    tiny.picture(2, width=60, height=90),
    tiny.picture(3, width=20, height=20),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {kind: write_family(root / kind, kind) for kind in FAMILIES}


def loaded(folder: Path) -> tuple[RewardCheckpoint, Encoder]:
    checkpoint = tiny.load_tiny(folder)
    checkpoint.network.eval()
    return checkpoint, encoder_for(checkpoint, CollationConfig())


def comparisons() -> list[tuple[Prompt, list[Response]]]:
    """Pictures in prompts and in answers, one, several and none."""
    return [
        (tiny.prompt("See ", WIDE, "."), [tiny.response("Yes, it is."), tiny.response("No.")]),
        (tiny.prompt("Only words?"), [tiny.response("Yes."), tiny.response("Not at all.")]),
        (
            tiny.prompt(TALL, "and", SMALL, system="Be brief."),
            [tiny.response("As here: ", WIDE), tiny.response("So: ", SMALL), tiny.response("No.")],
        ),
    ]


def trees_of(encoder: Encoder) -> list[Tree]:
    return [encoder.encode(prompt, responses) for prompt, responses in comparisons()]


def row_by_row(folder: Path, head: nn.Module, trees: list[Tree], encoder: Encoder) -> Tensor:
    """Each response by transformers' own model, alone, with its own positions and masks."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    rewards = []
    for tree in trees:
        for branch in tree.branches:
            ids = torch.from_numpy(tiny.joined(tree.prefix, branch))[None]
            keywords: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            shown = [*tree.prefix.pictures, *branch.pictures]
            if shown:
                assert encoder.preparation is not None
                pixels = [torch.from_numpy(encoder.preparation.prepare(one)) for one in shown]
                is_by_row = model.config.model_type in ("idefics3", "smolvlm")
                joined = torch.cat(pixels)
                keywords["pixel_values"] = joined[None] if is_by_row else joined
            if model.config.model_type == "gemma3":
                keywords["token_type_ids"] = (ids == model.config.image_token_id).long()
            hidden = model.eval()(**keywords, use_cache=False).last_hidden_state
            rewards.append(head(hidden[:, -1]))
    return torch.cat(rewards)


@pytest.mark.parametrize("kind", FAMILIES)
def test_rewards_are_those_of_transformers_own_model(folders: dict[str, Path], kind: str) -> None:
    checkpoint, encoder = loaded(folders[kind])
    network, trees = checkpoint.network, trees_of(encoder)
    with torch.no_grad():
        expected = row_by_row(folders[kind], network.head, trees, encoder)
        padded = network(pad(trees, encoder.preparation))
    torch.testing.assert_close(padded, expected, atol=TOLERANCE, rtol=0)
    assert expected.std() > 100 * TOLERANCE
    if kind in PACKABLE:
        backbones.use_tree_attention(network.backbone)
        with torch.no_grad():
            packed = network(pack(trees, encoder.preparation))
        torch.testing.assert_close(packed, expected, atol=TOLERANCE, rtol=0)
        assert check_packing(network, encoder) < TOLERANCE


@pytest.mark.parametrize("kind", PACKABLE)
def test_packed_gradients_are_those_of_padded_rows(folders: dict[str, Path], kind: str) -> None:
    gradients = []
    for lay_out in (pack, pad):
        checkpoint, encoder = loaded(folders[kind])
        network = checkpoint.network
        backbones.freeze(network.backbone, vision=True, projector=False, language=False)
        backbones.use_tree_attention(network.backbone)
        rewards = network(lay_out(trees_of(encoder), encoder.preparation))
        (rewards * torch.linspace(-1, 1, len(rewards))).sum().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, found in gradients[0].items():
        expected = gradients[1][name]
        assert (found is None) == (expected is None), name
        if found is not None:
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_parts_are_told_by_their_names(folders: dict[str, Path], kind: str) -> None:
    checkpoint, _ = loaded(folders[kind])
    parts: dict[str, set[str]] = {}
    for name, _ in checkpoint.network.backbone.named_parameters():
        parts.setdefault(backbones.part_of(name), set()).add(name.partition(".")[0])
    assert set(parts) == {"vision", "projector", "language"}
    assert all(len(tops) == 1 for tops in parts.values()), parts


@pytest.mark.parametrize(
    ("kind", "processor_class"),
    [("llava", LlavaProcessor), ("idefics3", Idefics3Processor), ("gemma3", Gemma3Processor)],
)
@pytest.mark.parametrize("shown", [(WIDE,), (SMALL,), (TALL, WIDE)])
def test_a_row_is_what_transformers_own_processor_makes_of_it(
    folders: dict[str, Path], kind: str, processor_class: Any, shown: tuple[Picture, ...]
) -> None:
    _, encoder = loaded(folders[kind])
    tokenizer = encoder.template._tokenizer.hugging_face  # type: ignore[attr-defined]
    if kind == "gemma3":
        names = {"boi": "start_of_image", "image": "image_soft_token", "eoi": "end_of_image"}
        for name, token in names.items():
            setattr(tokenizer, f"{name}_token", f"<{token}>")
            setattr(tokenizer, f"{name}_token_id", tokenizer.convert_tokens_to_ids(f"<{token}>"))
    settings: dict[str, dict[str, Any]] = {
        "llava": {"patch_size": PATCH, "vision_feature_select_strategy": "default"},
        "idefics3": {"image_seq_len": 4},
        "gemma3": {"image_seq_length": 4},
    }
    processor = processor_class(image_processor(kind), tokenizer, **settings[kind])
    if kind == "llava":
        processor.num_additional_image_tokens = 1
    content = [{"type": "text", "text": "Which\n"}, *({"type": "image"} for _ in shown)]
    turns = [
        {"role": "user", "content": [*content, {"type": "text", "text": "\nof them?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "The first."}]},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    theirs = processor(
        text=[text],
        images=[[open_rgb(one) for one in shown]],
        return_tensors="pt",
        add_special_tokens=False,
    )
    prompt = tiny.prompt("Which\n", *shown, "\nof them?")
    tree = encoder.encode(prompt, [tiny.response("The first.")])
    assert tiny.joined(tree.prefix, tree.branches[0]).tolist() == theirs.input_ids[0].tolist()
    assert encoder.preparation is not None
    ours = torch.cat([torch.from_numpy(encoder.preparation.prepare(one)) for one in shown])
    expected = theirs.pixel_values.reshape(-1, *theirs.pixel_values.shape[-3:])
    torch.testing.assert_close(ours, expected.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("layout", ["value-head", "sequence-classification"])
@pytest.mark.parametrize("kind", FAMILIES)
def test_a_saved_model_scores_the_same_and_has_the_names_of_the_hub(
    folders: dict[str, Path], kind: str, layout: Any, tmp_path: Path
) -> None:
    checkpoint, encoder = loaded(folders[kind])
    trees = trees_of(encoder)
    save_checkpoint(checkpoint, tmp_path / "saved", layout=layout)
    again, its_encoder = loaded(tmp_path / "saved")
    bias = checkpoint.network.head.summary.bias if layout != "value-head" else 0.0
    with torch.no_grad():
        before = checkpoint.network(pad(trees, encoder.preparation)) - bias
        after = again.network(pad(trees_of(its_encoder), its_encoder.preparation))
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
    names = set(tensor_names(tmp_path / "saved")) - {"score.weight"}
    assert names < tensor_names(folders[kind]) | {"lm_head.weight"}
    assert len(names) >= len(tensor_names(folders[kind])) - 1


def tensor_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as shard:
            names |= set(shard.keys())
    return names


@pytest.mark.parametrize("kind", ["llava", "smolvlm", "gemma3"])
def test_one_is_trained_and_scores(folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    model = replace(config.model, path=str(folders[kind]), scratch=None, dtype="float32")
    config = replace(config, model=model)
    model = train(config)
    prompt, responses = comparisons()[0]
    scores = model.score(prompt, responses)
    again = RewardModel.load(Path(config.output) / "model", dtype="float32")
    assert again.score(prompt, responses) == pytest.approx(scores, abs=TOLERANCE)
    assert again.packed == (kind in PACKABLE)


@pytest.mark.parametrize("kind", FAMILIES)
def test_one_answers(folders: dict[str, Path], kind: str) -> None:
    generator = LocalGenerator.load(
        folders[kind], dtype="float32", sampling=Sampling(max_new_tokens=3)
    )
    prompt = tiny.prompt("See ", WIDE, SMALL, ".")
    [one] = generator.sample(prompt, num_responses=1, seed=0)
    span = generator.encoder.encode_opening(prompt)
    inputs = generator._inputs(span)
    expected = generator.model.generate(**inputs, max_new_tokens=3, do_sample=False)
    said = generator.tokenizer.hugging_face.decode(
        expected[0, len(span) :], skip_special_tokens=True
    )
    assert one.response.text == said.strip()


def test_no_picture_of_an_answer_is_cut(folders: dict[str, Path]) -> None:
    checkpoint, _ = loaded(folders["idefics3"])
    prompt, whole = tiny.prompt("Which?"), tiny.response("So it is: ", WIDE, " as one sees.")
    length = len(encoder_for(checkpoint, CollationConfig()).encode(prompt, [whole]))
    encoder = encoder_for(checkpoint, CollationConfig(max_length=length - 2))
    tree = encoder.encode(prompt, [whole])
    assert tree.truncated_tokens == (2,)
    encoder = encoder_for(checkpoint, CollationConfig(max_length=length - 20))
    with pytest.raises(DataError, match="row-too-long"):
        encoder.encode(prompt, [whole])


def test_packing_gemma_3_is_refused_with_the_reason(folders: dict[str, Path]) -> None:
    checkpoint, _ = loaded(folders["gemma3"])
    with pytest.raises(ConfigError, match="see each other both ways"):
        backbones.is_packed(checkpoint.config, "packed")
    assert not backbones.is_packed(checkpoint.config, "auto")


def test_a_template_without_a_place_for_a_picture_is_refused_by_row(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["llava"], tmp_path / "llava")
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template.replace("<image>", ""))
    checkpoint = tiny.load_tiny(folder)
    with pytest.raises(DataError, match="0 places for 1 pictures"):
        encoder_for(checkpoint, CollationConfig()).encode(
            tiny.prompt(WIDE, "?"), [tiny.response("Yes.")]
        )


def test_a_chat_template_may_lie_in_a_file_of_its_own(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["llava"], tmp_path / "llava")
    path = folder / "chat_template.jinja"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": path.read_text()}))
    _, expected = loaded(folder)
    path.unlink()
    _, found = loaded(folder)
    prompt, responses = comparisons()[0]
    one, other = (each.encode(prompt, responses) for each in (expected, found))
    assert one.prefix.ids.tolist() == other.prefix.ids.tolist()


def test_words_of_users_that_look_like_a_picture_stay_words(folders: dict[str, Path]) -> None:
    _, encoder = loaded(folders["llava"])
    prompt = tiny.prompt("Say <image>, see ", SMALL)
    tree = encoder.encode(prompt, [tiny.response("<image>")])
    row = tiny.joined(tree.prefix, tree.branches[0])
    assert encoder.preparation is not None
    assert (row == encoder.image_token_id).sum() == encoder.preparation.num_tokens(SMALL)
    assert tree.prefix.pictures == (SMALL,)
