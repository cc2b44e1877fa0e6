"""One config.json that transformers 4.51 and 5.x both read rightly.

transformers 5 writes `rope_parameters` and `dtype`, and nests the text configuration. 4.51 knows
none of them: it would silently take rope_theta 10000, or fail on the nested part. So the older
spelling is written, which both read; it is also how the base models lie on the hub.
"""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

_FLAT_TYPES = ("qwen2_vl", "qwen2_5_vl")
_TRANSIENT_KEYS = ("_attn_implementation", "_name_or_path", "auto_map")


def spell_config(config: PreTrainedConfig, *, architecture: str, dtype: str) -> dict[str, Any]:
    """The configuration as a JSON object for a model class by name.

    Qwen2-VL and Qwen2.5-VL keep their text settings at the top level, others where they are.
    """
    spelled: dict[str, Any] = config.to_dict()
    for key in _TRANSIENT_KEYS:
        spelled.pop(key, None)
    text = spelled.get("text_config")
    _spell_rotary(text if isinstance(text, dict) else spelled)
    if isinstance(text, dict):
        if config.model_type in _FLAT_TYPES:
            text["rope_scaling"]["type"] = "mrope"  # what 4.51 looks for
            del spelled["text_config"]
            spelled = {k: v for k, v in text.items() if k != "model_type"} | spelled
        # The vision encoder's rotary embedding is fixed; 4.51 has no setting for it.
        spelled["vision_config"].pop("rope_parameters", None)
    spelled["architectures"] = [architecture]
    spelled["torch_dtype"] = dtype
    spelled.pop("dtype", None)
    return spelled


def _spell_rotary(config: dict[str, Any]) -> None:
    """Replaces `rope_parameters` by `rope_theta` and `rope_scaling`."""
    rotary = config.pop("rope_parameters", None)
    if not isinstance(rotary, dict) or "rope_theta" not in rotary:
        if rotary is not None:
            config["rope_parameters"] = rotary
        return
    scaling = {key: value for key, value in rotary.items() if key != "rope_theta"}
    config["rope_theta"] = rotary["rope_theta"]
    if "mrope_section" in scaling or scaling.get("rope_type", "default") != "default":
        config["rope_scaling"] = scaling
