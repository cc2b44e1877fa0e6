"""One config.json for transformers 4.51 and 5.x: the older spelling, read back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from tests.support import tiny
from vlreward.modeling.config_spellings import spell_config

THETA = 5_000_000.0
NEW_KEYS = {"rope_parameters", "dtype", "auto_map", "_attn_implementation"}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": THETA,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": THETA,
    "factor": 4.0,
    "original_max_position_embeddings": 1024,
}


def text_config(kind: str, rope: dict[str, Any]) -> PreTrainedConfig:
    config: PreTrainedConfig = CONFIG_MAPPING[kind](
        hidden_size=64, num_attention_heads=2, rope_parameters=rope, max_position_embeddings=4096
    )
    return config


def read_back(spelled: dict[str, Any], folder: Path) -> PreTrainedConfig:
    (folder / "config.json").write_text(json.dumps(spelled))
    config: PreTrainedConfig = AutoConfig.from_pretrained(folder)
    return config


def essence(config: PreTrainedConfig) -> dict[str, Any]:
    """What decides a model's numbers."""
    transient = {"architectures", "dtype", "_name_or_path", "transformers_version", "torch_dtype"}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key not in transient}
        return value

    found: dict[str, Any] = plain(config.to_dict())
    return found


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_spelled_configuration_is_read_back_as_it_was(
    kind: str, tied: bool, tmp_path: Path
) -> None:
    folder = tiny.write_base_model(tmp_path / kind, kind, tied=tied)
    config = AutoConfig.from_pretrained(folder)
    spelled = spell_config(config, architecture="Reward", dtype="bfloat16")
    read = read_back(spelled, tmp_path)
    text, original = read.get_text_config(), config.get_text_config()
    assert text.rope_parameters["rope_theta"] == original.rope_parameters["rope_theta"]
    sections = [c.rope_parameters.get("mrope_section") for c in (text, original)]
    assert sections[0] == sections[1]
    assert read.tie_word_embeddings is config.tie_word_embeddings is tied
    ignored = {"rope_parameters", "tie_word_embeddings"}
    for key in essence(original).keys() - ignored:
        assert essence(text)[key] == essence(original)[key], key
    if kind in tiny.VISION_KINDS:
        vision, original_vision = essence(read.vision_config), essence(config.vision_config)
        for key in original_vision.keys() - ignored:
            assert vision[key] == original_vision[key], key
        assert read.image_token_id == config.image_token_id
    assert spelled["architectures"] == ["Reward"]
    assert spelled["torch_dtype"] == "bfloat16"
    assert not NEW_KEYS & spelled.keys()


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl"])
def test_qwen2s_vision_models_are_spelled_flat_as_they_lie_on_the_hub(
    kind: str, tmp_path: Path
) -> None:
    config = AutoConfig.from_pretrained(tiny.write_base_model(tmp_path / kind, kind))
    spelled = spell_config(config, architecture="Reward", dtype="float32")
    assert "text_config" not in spelled
    assert spelled["model_type"] == kind
    assert spelled["hidden_size"] == 64
    assert spelled["rope_theta"] == 1_000_000.0
    assert spelled["rope_scaling"]["type"] == "mrope"
    assert spelled["rope_scaling"]["mrope_section"] == [4, 6, 6]
    assert "rope_parameters" not in json.dumps(spelled)


def test_qwen3_vl_keeps_its_text_settings_nested(tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(tiny.write_base_model(tmp_path / "q", "qwen3_vl"))
    text = spell_config(config, architecture="Reward", dtype="float32")["text_config"]
    assert text["rope_theta"] == 1_000_000.0
    assert text["rope_scaling"]["mrope_section"] == [4, 6, 6]
    assert "rope_parameters" not in text


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "mistral"])
@pytest.mark.parametrize("rope", [LLAMA3, YARN, {"rope_type": "default", "rope_theta": THETA}])
def test_text_decoders_keep_their_rotary_base_and_scaling(
    kind: str, rope: dict[str, Any], tmp_path: Path
) -> None:
    config = text_config(kind, rope)
    spelled = spell_config(config, architecture="Reward", dtype="float32")
    assert spelled["rope_theta"] == THETA
    assert ("rope_scaling" in spelled) is (rope["rope_type"] != "default")
    read = read_back(spelled, tmp_path)
    assert read.rope_parameters | rope == read.rope_parameters


def test_rotary_settings_by_kind_of_layer_stay_as_they_are(tmp_path: Path) -> None:
    config = CONFIG_MAPPING["gemma3_text"](hidden_size=64, num_hidden_layers=2)
    spelled = spell_config(config, architecture="Reward", dtype="float32")
    assert spelled["rope_parameters"] == config.to_dict()["rope_parameters"]
    assert read_back(spelled, tmp_path).rope_parameters == config.rope_parameters


def test_the_configuration_itself_is_left_alone(tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(tiny.write_base_model(tmp_path / "q", "qwen2_5_vl"))
    before = json.dumps(config.to_dict(), sort_keys=True, default=str)
    spell_config(config, architecture="Reward", dtype="float32")
    assert json.dumps(config.to_dict(), sort_keys=True, default=str) == before
