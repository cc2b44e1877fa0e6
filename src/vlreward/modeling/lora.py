"""Low-rank adapters (LoRA, arXiv 2106.09685) on the language model, by peft.

The language model's weights are frozen and each of its linear layers gets two small matrices. The
head is trained as ever, and so is the projector unless it is frozen. What is exported is merged:
nobody who loads it needs peft.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from vlreward.errors import ConfigError
from vlreward.extras import import_extra
from vlreward.modeling import backbones, last_layer
from vlreward.modeling.config import ModelConfig

_ADAPTER = "default"
_MARK = ".lora_"


def add_adapters(backbone: PreTrainedModel, config: ModelConfig) -> None:
    """Puts adapters on every linear layer of the language model; they change nothing yet.

    Must come before tree attention is set. Raises MissingExtraError without peft, ConfigError where
    there is nothing to adapt.
    """
    peft: Any = import_extra("peft", extra="lora")
    layers = linear_layers(backbone)
    if not layers:
        raise ConfigError(
            "lora-impossible",
            value=f"a {backbone.config.model_type} model without linear layers",
            place="model.lora_rank",
            expected="linear layers in the language model, for adapters to sit on",
            mend="Set model.lora_rank to 0.",
        )
    trained = {n for n, p in backbone.named_parameters() if p.requires_grad}
    with torch.random.fork_rng():
        torch.manual_seed(config.initial_seed)
        peft.inject_adapter_in_model(
            peft.LoraConfig(
                r=config.lora_rank,
                lora_alpha=config.lora_alpha or 2 * config.lora_rank,
                lora_dropout=config.lora_dropout,
                target_modules=layers,
            ),
            backbone,
            adapter_name=_ADAPTER,
        )
    for name, parameter in backbone.named_parameters():
        is_language = backbones.part_of(name) == "language"
        parameter.requires_grad_(_MARK in name if is_language else name in trained)


def has_adapters(backbone: nn.Module) -> bool:
    """Whether there are adapters that are not merged."""
    return any(_MARK in name for name, _ in backbone.named_parameters())


def merge_adapters(backbone: PreTrainedModel) -> None:
    """Adds each adapter to the layer it sits on and takes it away; does nothing without any."""
    had_hooks = last_layer.compute_everywhere(backbone)
    adapted = [name for name, module in backbone.named_modules() if hasattr(module, "base_layer")]
    for name in adapted:
        layer: Any = backbone.get_submodule(name)
        layer.merge(safe_merge=True)
        backbone.set_submodule(name, layer.get_base_layer())
    if had_hooks:
        last_layer.compute_only_where_read(backbone)


def linear_layers(backbone: PreTrainedModel) -> list[str]:
    """Names of the language model's linear layers."""
    decoder = backbone.get_decoder()
    of_decoder = set(decoder.modules())
    return [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) and module in of_decoder
    ]
