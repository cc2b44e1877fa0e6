"""transformers backbones: what kind one is, what its parts are, whether packing is exact for it.

Nothing of a backbone's own code is repeated here; a new model class of transformers needs at most
a line in the tables below.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from vlreward.collation.tiled_pictures import FAMILIES
from vlreward.errors import CheckpointError, ConfigError
from vlreward.modeling import attention, flex_attention, last_layer
from vlreward.modeling.config import Layout, TreeKernel

PartName = Literal["vision", "projector", "language"]

QWEN_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Vision-language models whose pictures are grids of patches, with M-RoPE."""
_VISION_LANGUAGE_TYPES = (*QWEN_TYPES, *FAMILIES)
_TYPES_WITH_DEFAULT_SYSTEM = ("qwen2_vl", "qwen2_5_vl")
_TYPES_WITH_PICTURES_BY_ROW = ("idefics3", "smolvlm")
"""Their `pixel_values` are [row, tile, channel, height, width]."""
_TYPES_WITH_MARKED_PICTURES = ("gemma3",)
"""Their `token_type_ids` say which tokens are a picture's, and see each other both ways."""
_VISION_PREFIXES = ("visual.", "vision_tower.", "vision_model.")
_PROJECTOR_PREFIXES = ("multi_modal_projector.", "connector.")
_PROJECTOR_MARKS = (".merger.", ".deepstack_merger_list.")
"""Of the projectors that Qwen's vision encoders end in."""
_PACKABLE_LAYERS = {"full_attention", "sliding_attention"}
_KERNELS = {"segments": attention, "flex": flex_attention}
_TYPES_WITH_OWN_ATTENTION = {
    "gpt_oss": "its attention has sinks",
    "doge": "its attention makes masks of its own",
    "nemotron": "its layers keep back what its attention is told",
}


def load_backbone(
    folder: Path,
    config: PreTrainedConfig,
    *,
    dtype: torch.dtype,
    model_class: type[PreTrainedModel] | None = None,
) -> PreTrainedModel:
    """The folder's model, from safetensors, with no remote code.

    Without a class of transformers given, it is the model without its LM head. Raises
    CheckpointError if weights are missing, do not fit, or cannot be read.
    """
    try:
        backbone, info = (model_class or AutoModel).from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            "backbone-unreadable",
            value=f"{type(error).__name__}: {reason}",
            place=str(folder),
            expected=f"safetensors weights of a {config.model_type} model",
            mend="Check that the folder is complete; pickled weights are refused.",
        ) from error
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if missing:
        raise CheckpointError(
            "backbone-incomplete",
            value=f"{len(missing)} missing or misfitting weights, first {missing[0]}",
            place=str(folder),
            expected="every weight of the backbone",
            mend="Fetch the model again; it may be of another architecture than config.json says.",
        )
    return backbone


def is_vision_language(config: PreTrainedConfig) -> bool:
    """Whether the backbone reads pictures; raises ConfigError for kinds not supported yet."""
    if config.model_type in _VISION_LANGUAGE_TYPES:
        return True
    if config.get_text_config() is not config:
        raise ConfigError(
            "backbone-unknown",
            value=config.model_type,
            place="config.json: model_type",
            expected=f"a text decoder or one of {', '.join(_VISION_LANGUAGE_TYPES)}",
            mend="Choose another backbone.",
        )
    return False


def has_default_system(config: PreTrainedConfig) -> bool:
    """Whether the model's chat template opens with a system message where there is none."""
    return config.model_type in _TYPES_WITH_DEFAULT_SYSTEM


def picture_keywords(
    config: PreTrainedConfig,
    *,
    input_ids: Tensor,
    pixel_values: Tensor | None,
    image_grid_thw: Tensor | None,
) -> dict[str, Tensor]:
    """What the forward of a model of this configuration is given of pictures.

    `input_ids` are [rows, T]; of all pictures in them, `pixel_values` are joined along the first
    axis, `image_grid_thw` [I, 3] their sizes; both are None without pictures.
    """
    keywords = {}
    if config.model_type in _TYPES_WITH_MARKED_PICTURES:
        keywords["token_type_ids"] = (input_ids == config.image_token_id).long()
    if pixel_values is None or image_grid_thw is None:
        return keywords
    if config.model_type in QWEN_TYPES:
        return {"pixel_values": pixel_values, "image_grid_thw": image_grid_thw}
    is_by_row = config.model_type in _TYPES_WITH_PICTURES_BY_ROW
    return keywords | {"pixel_values": pixel_values[None] if is_by_row else pixel_values}


def part_of(parameter_name: str) -> PartName:
    """Which part a backbone's parameter belongs to, by its name."""
    if parameter_name.startswith(_PROJECTOR_PREFIXES):
        return "projector"
    if not parameter_name.startswith(_VISION_PREFIXES):
        return "language"
    is_merger = parameter_name.startswith("visual.") and any(
        mark in parameter_name for mark in _PROJECTOR_MARKS
    )
    return "projector" if is_merger else "vision"


def freeze(backbone: nn.Module, *, vision: bool, projector: bool, language: bool) -> None:
    """Stops the gradients of the parts named true, and lets those of the others flow."""
    frozen = {"vision": vision, "projector": projector, "language": language}
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(not frozen[part_of(name)])


def explain_unpackable(config: PreTrainedConfig) -> str | None:
    """Why the packed layout would not be exact for this backbone, or None if it is."""
    if config.model_type == "gemma3":
        return "the tokens of a picture see each other both ways"
    text = config.get_text_config()
    layers = set(getattr(text, "layer_types", None) or ["full_attention"])
    if not layers <= _PACKABLE_LAYERS:
        return f"it has layers of type {', '.join(sorted(layers - _PACKABLE_LAYERS))}"
    if getattr(text, "attn_logit_softcapping", None):
        return "its attention caps logits softly"
    if getattr(text, "is_encoder_decoder", False):
        return "it is an encoder-decoder"
    model_class: type[PreTrainedModel] | None = AutoModel._model_mapping.get(type(config), None)
    if model_class is None or not model_class._supports_attention_backend:
        return "its attention cannot be replaced through transformers' AttentionInterface"
    return _TYPES_WITH_OWN_ATTENTION.get(text.model_type)


def is_packed(config: PreTrainedConfig, layout: Layout) -> bool:
    """Whether rows are packed; raises ConfigError if they must be and cannot."""
    why_not = explain_unpackable(config)
    if layout == "packed" and why_not is not None:
        raise ConfigError(
            "packing-impossible",
            value=f"packed, but {why_not}",
            place="model.layout",
            expected="auto or padded for this backbone",
            mend="Set layout to auto.",
        )
    return layout != "padded" and why_not is None


def use_tree_attention(backbone: PreTrainedModel, *, kernel: TreeKernel = "segments") -> None:
    """Sets tree attention for the language model and leaves the vision encoder's alone.

    Its last layer then computes only what is read of it, where a pass says so.
    """
    chosen = _KERNELS[kernel]
    chosen.register()
    _set_text_attention(backbone, chosen.NAME)
    last_layer.compute_only_where_read(backbone)
    found = _text_attention(backbone)
    assert found == chosen.NAME, f"the backbone kept {found!r} as its attention"


@contextmanager
def plain_attention(backbone: PreTrainedModel) -> Iterator[None]:
    """For a while, the language model runs transformers' own attention on padded rows.

    That is SDPA where the backbone knows it; one that never got tree attention keeps its own.
    """
    before = _text_attention(backbone)
    if before not in {kernel.NAME for kernel in _KERNELS.values()}:
        yield
        return
    _set_text_attention(backbone, "sdpa" if backbone._supports_sdpa else "eager")
    try:
        yield
    finally:
        _set_text_attention(backbone, before)


def _text_attention(backbone: PreTrainedModel) -> str:
    name: str = backbone.config.get_text_config()._attn_implementation
    return name


def _set_text_attention(backbone: PreTrainedModel, name: str) -> None:
    nested = backbone.config.get_text_config() is not backbone.config
    wanted: Any = {"text_config": name} if nested else name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backbone.set_attn_implementation(wanted)
