"""Model folders that cannot be used are refused with a sentence, and nothing in them is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import tiny
from vlreward.errors import CheckpointError, ConfigError, VlrewardError
from vlreward.modeling.checkpoints import SETTINGS_FILE, VALUE_HEAD_FILE, load_checkpoint
from vlreward.modeling.folders import INDEX, SINGLE, find_model_folder, find_tensor, shard_paths
from vlreward.scoring import RewardModel

BOMB = "raise SystemExit('executed')"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good reward model that each test damages a copy of."""
    root = tmp_path_factory.mktemp("whole")
    base = tiny.write_base_model(root / "base", "qwen2_5_vl")
    tiny.reward_model(tiny.load_tiny(base)).save(root / "model")
    return root / "model"


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "model")
    return tmp_path / "model"


def edit_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def edit_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    state = load_file(path)
    change(state)
    save_file(state, path, metadata={"format": "pt"})


def shard(folder: Path, name: str = "model-00001-of-00001.safetensors") -> Path:
    """Turns the one weight file into an index with a shard of this name; returns the shard."""
    names = list(load_file(folder / SINGLE))
    (folder / SINGLE).rename(folder / "model-00001-of-00001.safetensors")
    (folder / INDEX).write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, name)})
    )
    return folder / "model-00001-of-00001.safetensors"


def refused(folder: Path | str) -> VlrewardError:
    with pytest.raises(VlrewardError) as caught:
        RewardModel.load(folder)
    assert isinstance(caught.value, (CheckpointError, ConfigError))
    return caught.value


def test_the_folder_is_good_before_it_is_damaged(folder: Path) -> None:
    assert RewardModel.load(folder).score("Why?", ["So."])
    shard(folder)
    assert RewardModel.load(folder).score("Why?", ["So."])


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / SINGLE).unlink()
    assert "Save the model with safetensors" in str(refused(folder))


def test_pickled_weights_are_refused_and_not_opened(folder: Path) -> None:
    state = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    torch.save(state, folder / "pytorch_model.bin")
    error = refused(folder)
    assert "pytorch_model.bin" in str(error)
    assert "pickled weights" in error.mend


def test_a_pickled_value_head_is_refused(folder: Path) -> None:
    (folder / VALUE_HEAD_FILE).rename(folder / "value_head.bin")
    assert "without a reward head" in str(refused(folder))


@pytest.mark.parametrize("auto_map", [{"AutoModel": "custom.Model"}, {}, None])
def test_a_model_that_asks_for_code_is_refused(folder: Path, auto_map: Any) -> None:
    (folder / "custom.py").write_text(BOMB)
    edit_json(folder / "config.json", auto_map=auto_map)
    assert "runs no code" in str(refused(folder))


def test_a_tokenizer_that_asks_for_code_is_read_without_it(folder: Path) -> None:
    before = RewardModel.load(folder).score("Why?", ["So."])
    (folder / "custom.py").write_text(BOMB)
    auto_map = {"AutoTokenizer": ["custom.Custom", "custom.Custom"]}
    edit_json(folder / "tokenizer_config.json", tokenizer_class="Custom", auto_map=auto_map)
    assert RewardModel.load(folder).score("Why?", ["So."]) == before


@pytest.mark.parametrize("name", ["../other/model.safetensors", "a/../../b.safetensors", "", "."])
def test_an_index_that_leads_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "other"
    outside.mkdir()
    shutil.copyfile(shard(folder, name), outside / SINGLE)
    assert refused(folder).code == "model-index-damaged"


def test_an_index_with_an_absolute_path_is_refused(folder: Path) -> None:
    outside = folder.parent / "elsewhere.safetensors"
    shard(folder, str(outside)).rename(outside)
    error = refused(folder)
    assert error.code == "model-index-damaged"
    with pytest.raises(CheckpointError, match="elsewhere"):
        load_checkpoint(folder, dtype=torch.float32)


@pytest.mark.parametrize(
    "index", ["{}", '{"weight_map": {}}', '{"weight_map": [1]}', '{"weight_map": {"a": 1}}', "["]
)
def test_a_damaged_index_is_refused(folder: Path, index: str) -> None:
    shard(folder)
    (folder / INDEX).write_text(index)
    assert str(folder / INDEX) in str(refused(folder))


def test_a_missing_shard_is_refused(folder: Path) -> None:
    shard(folder).unlink()
    assert "model-00001-of-00001.safetensors" in str(refused(folder))


@pytest.mark.parametrize("sharded", [True, False])
@pytest.mark.parametrize("load", [RewardModel.load, find_model_folder, load_checkpoint])
def test_weights_linked_from_outside_are_refused(folder: Path, sharded: bool, load: Any) -> None:
    path = shard(folder) if sharded else folder / SINGLE
    outside = folder.parent / "secret.safetensors"
    path.rename(outside)
    path.symlink_to(outside)
    keywords = {"dtype": torch.float32} if load is load_checkpoint else {}
    argument = str(folder) if load is find_model_folder else folder
    with pytest.raises(CheckpointError, match="Copy the file into the folder"):
        load(argument, **keywords)


@pytest.mark.parametrize("name", ["tokenizer.json", "value_head.safetensors", "vocab.json"])
def test_no_other_file_may_be_a_link_to_outside(folder: Path, name: str) -> None:
    outside = folder.parent / "secret"
    outside.write_text("{}")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    assert refused(folder).code == "model-file-outside"


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "weights.safetensors")
    (folder / SINGLE).symlink_to("weights.safetensors")
    assert RewardModel.load(folder).score("Why?", ["So."])


def test_the_hubs_own_links_are_followed(folder: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "models--owner--model" / "blobs"
    snapshot = blobs.parent / "snapshots" / "0123abcd"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        shutil.copyfile(path, blobs / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    assert RewardModel.load(snapshot).score("Why?", ["So."])
    outside = tmp_path / "outside.safetensors"
    (blobs / SINGLE).rename(outside)
    (snapshot / SINGLE).unlink()
    (snapshot / SINGLE).symlink_to(outside)
    assert refused(snapshot).code == "model-file-outside"


def test_one_weight_file_goes_before_an_index_as_in_transformers(folder: Path) -> None:
    state = load_file(folder / SINGLE)
    wrong = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    save_file(wrong, folder / "other.safetensors", metadata={"format": "pt"})
    before = RewardModel.load(folder).score("Why?", ["So."])
    weight_map = dict.fromkeys(state, "other.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    assert shard_paths(folder) == [folder / SINGLE]
    assert RewardModel.load(folder).score("Why?", ["So."]) == before


@pytest.mark.parametrize("name", [SINGLE, VALUE_HEAD_FILE])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_weights_are_refused(folder: Path, name: str, share: float) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(share * len(data))])
    assert str(folder) in str(refused(folder))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", [SINGLE, VALUE_HEAD_FILE])
def test_weights_that_are_not_finite_are_refused(folder: Path, name: str, value: float) -> None:
    edit_weights(folder / name, lambda state: next(iter(state.values())).view(-1)[:1].fill_(value))
    error = refused(folder)
    assert error.code == "weights-not-finite"
    assert "use an earlier one" in error.mend


def test_a_missing_weight_is_refused_by_name(folder: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    names = list(load_file(folder / SINGLE))
    found = next(full for full in names if full.endswith("layers.1.mlp.up_proj.weight"))
    edit_weights(folder / SINGLE, lambda state: state.pop(found))
    error = refused(folder)
    assert error.code == "backbone-incomplete"
    assert name.removeprefix("model.") in str(error)


def test_a_weight_of_another_shape_is_refused(folder: Path) -> None:
    edit_json(folder / "config.json", intermediate_size=97)
    assert "mlp" in str(refused(folder))


@pytest.mark.parametrize("num_labels", [2, 5])
def test_a_classifier_of_several_labels_is_refused(folder: Path, num_labels: int) -> None:
    (folder / VALUE_HEAD_FILE).unlink()
    edit_weights(
        folder / SINGLE, lambda state: state.update({"score.weight": torch.zeros(num_labels, 64)})
    )
    error = refused(folder)
    assert error.code == "reward-head-misfit"
    assert "num_labels must be 1" in error.mend


@pytest.mark.parametrize(
    "head",
    [
        {"v_head.summary.weight": torch.zeros(1, 63), "v_head.summary.bias": torch.zeros(1)},
        {"v_head.summary.weight": torch.zeros(1, 64)},
        {"v_head.other": torch.zeros(1)},
        {"v_head.summary.weight": torch.zeros(64), "v_head.summary.bias": torch.zeros(1)},
    ],
)
def test_a_value_head_that_does_not_fit_is_refused(
    folder: Path, head: dict[str, torch.Tensor]
) -> None:
    save_file(head, folder / VALUE_HEAD_FILE, metadata={"format": "pt"})
    assert refused(folder).code == "reward-head-misfit"


@pytest.mark.parametrize("score", [torch.tensor(1.0), torch.zeros(64)])
def test_a_score_weight_of_another_shape_is_refused(folder: Path, score: torch.Tensor) -> None:
    (folder / VALUE_HEAD_FILE).unlink()
    edit_weights(folder / SINGLE, lambda state: state.update({"score.weight": score}))
    assert refused(folder).code == "reward-head-misfit"


def test_a_base_model_is_not_scored_with(folder: Path) -> None:
    (folder / VALUE_HEAD_FILE).unlink()
    error = refused(folder)
    assert error.code == "reward-head-missing"
    assert "vlreward train" in error.mend


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model_type": "qwen9_vl"}, "model-config-unknown"),
        ({"model_type": "llava_onevision"}, "backbone-unknown"),
        ({"model_type": 3}, "model-config-unknown"),
        ({"hidden_size": "wide"}, "model-config-unknown"),
        ({"num_attention_heads": 0}, "model-config-unknown"),
    ],
)
def test_an_unknown_configuration_is_refused(
    folder: Path, fields: dict[str, Any], code: str
) -> None:
    edit_json(folder / "config.json", **fields)
    error = refused(folder)
    assert error.code in (code, "backbone-unreadable")
    assert str(folder) in error.place or error.place == "config.json: model_type"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff"])
def test_a_configuration_that_is_no_json_object_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="latin-1")
    error = refused(folder)
    assert error.code == "model-json-unreadable"
    assert str(folder / "config.json") in str(error)


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer"),
        ("preprocessor_config.json", "preprocessor_config.json"),
    ],
)
def test_a_missing_file_is_named(folder: Path, missing: str, named: str) -> None:
    (folder / missing).unlink()
    assert named in str(refused(folder))


def test_a_tokenizer_that_lacks_a_control_token_is_refused(folder: Path) -> None:
    backend = json.loads((folder / "tokenizer.json").read_text())
    backend["added_tokens"] = [
        token for token in backend["added_tokens"] if token["content"] != "<|vision_start|>"
    ]
    (folder / "tokenizer.json").write_text(json.dumps(backend))
    edit_json(folder / "tokenizer_config.json", additional_special_tokens=[])
    assert refused(folder).code in ("tokenizer-misfit", "tokenizer-lacks-control-token")


@pytest.mark.parametrize(("key", "value"), [("vocab_size", 300), ("image_token_id", 7)])
def test_a_tokenizer_that_does_not_fit_the_weights_is_refused(
    folder: Path, key: str, value: int
) -> None:
    config = json.loads((folder / "config.json").read_text())
    if key == "vocab_size":
        edit_weights(folder / SINGLE, lambda state: state.update(_cropped(state, value)))
    (folder / "config.json").write_text(json.dumps(config | {key: value, "pad_token_id": None}))
    error = refused(folder)
    assert error.code == "tokenizer-misfit"
    assert str(value) in str(error)


def _cropped(state: dict[str, torch.Tensor], num_rows: int) -> dict[str, torch.Tensor]:
    """The embeddings' first rows."""
    name = next(name for name in state if name.endswith("embed_tokens.weight"))
    return {name: state[name][:num_rows].clone()}


@pytest.mark.parametrize("text", ["{", "[]", '{"model": {}}', '{"model": {"type": "Magic"}}'])
def test_a_damaged_tokenizer_is_refused(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text)
    assert refused(folder).code.startswith("tokenizer-")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_length": "long"}, "max_length"),
        ({"max_length": "512"}, "max_length"),
        ({"max_length": 51.5}, "max_length"),
        ({"reward_mean": [1]}, "reward_mean"),
        ({"head": "quantile"}, "head"),
        ({"maximum_length": 512}, "maximum_length"),
    ],
)
def test_settings_of_a_wrong_type_or_name_are_refused(
    folder: Path, fields: dict[str, Any], named: str
) -> None:
    edit_json(folder / SETTINGS_FILE, **fields)
    error = refused(folder)
    assert error.code == "settings-invalid"
    assert SETTINGS_FILE in str(error) and named in str(error)


def test_settings_that_are_no_json_are_refused(folder: Path) -> None:
    (folder / SETTINGS_FILE).write_text("{'head': 'linear'}")
    assert SETTINGS_FILE in str(refused(folder))


def test_a_folder_without_settings_has_the_defaults(folder: Path) -> None:
    (folder / SETTINGS_FILE).unlink()
    assert RewardModel.load(folder).settings.max_length is None


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "a/b/c", "nothing", "", "~/no/way"])
def test_a_path_to_nothing_is_refused(name: str, tmp_path: Path) -> None:
    error = refused(name)
    assert error.code == "model-folder-missing" or name == ""
    assert "Check" in error.mend


def test_a_revision_of_a_local_folder_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected none, as .* lies on this machine"):
        RewardModel.load(folder, revision="main")


def test_a_hub_name_without_a_network_is_refused() -> None:
    error = refused("nobody/nothing")
    assert error.code == "model-not-fetched"
    assert "Download it elsewhere" in error.mend


@pytest.mark.parametrize("name", ["no body/nothing", "nobody/..", "--/a"])
def test_a_hub_name_that_cannot_be_one_is_refused(name: str) -> None:
    assert refused(name).code == "model-not-fetched"


def test_a_tensor_is_found_in_whatever_shard_has_it(folder: Path) -> None:
    state = load_file(folder / SINGLE)
    names = list(state)
    (folder / SINGLE).unlink()
    for number, part in enumerate((names[:3], names[3:])):
        save_file({n: state[n] for n in part}, folder / f"{number}.safetensors")
    weight_map = {n: f"{int(n not in names[:3])}.safetensors" for n in names}
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    for name in (names[0], names[-1]):
        assert torch.equal(find_tensor(folder, name), state[name])
    assert find_tensor(folder, "score.weight") is None
