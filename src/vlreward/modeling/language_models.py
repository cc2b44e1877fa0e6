"""Models with their LM head: what answers, and what says how probable an answer is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedConfig, PreTrainedModel

from vlreward.errors import CheckpointError
from vlreward.modeling.backbones import load_backbone
from vlreward.modeling.checkpoints import (
    check_finite,
    full_model_class,
    has_reward_head,
    read_config,
)
from vlreward.modeling.devices import DtypeName, find_device, find_dtype
from vlreward.modeling.folders import find_model_folder
from vlreward.modeling.quiet import quiet_transformers


class OpenedModel(NamedTuple):
    """A model on its device, ready to be asked, and what its folder says of it."""

    folder: Path
    config: PreTrainedConfig
    model: PreTrainedModel


def open_language_model(
    path_or_name: str | Path,
    *,
    revision: str | None = None,
    dtype: DtypeName = "auto",
    device: str | None = None,
) -> OpenedModel:
    """Reads a base or instruction-tuned model from a folder or the hub.

    `dtype` auto means float32 on the CPU and bfloat16 on a GPU; `device` defaults to the GPU where
    there is one. Raises CheckpointError if the folder cannot be used, or is a reward model's, which
    has learnt to judge and not to answer.
    """
    folder = find_model_folder(str(path_or_name), revision=revision)
    config = read_config(folder)
    if has_reward_head(folder):
        raise CheckpointError(
            "language-model-is-a-reward-model",
            value="a model with a reward head",
            place=str(folder),
            expected="a model that answers: a base or instruction-tuned one",
            mend="Give the model that the reward model was trained from.",
        )
    model = load_with_head(
        folder, config, model_class=full_model_class(config), dtype=dtype, device=device
    )
    return OpenedModel(folder, config, model)


def load_with_head(
    folder: Path,
    config: PreTrainedConfig,
    *,
    model_class: type[PreTrainedModel],
    dtype: DtypeName,
    device: str | None,
) -> PreTrainedModel:
    """The folder's model of this class on its device, ready to be asked.

    Raises CheckpointError if a weight is missing, does not fit, or is not finite.
    """
    target = find_device(device)
    with quiet_transformers():
        model = load_backbone(
            folder, config, dtype=find_dtype(dtype, device=target), model_class=model_class
        )
    check_finite(dict(model.named_parameters()), folder)
    return model.to(target).eval()
