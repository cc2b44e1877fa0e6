"""Reward-model folders: read in the layouts found in the wild, written so that others read them.

Three layouts are read:

- value head (LLaMA-Factory, Skywork-VL-Reward-7B): a backbone beside `value_head.safetensors`;
- sequence classification (TRL, ms-swift, OpenRLHF, vLLM): `score.weight` among the shards;
- a base model without a head, which gets a new one for training.

The value-head layout is the one written by default. `vlreward.json` beside it keeps what the
layout has no place for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from vlreward.collation.config import CollationConfig, Overflow
from vlreward.durable import AtomicFolder
from vlreward.errors import CheckpointError
from vlreward.modeling import backbones
from vlreward.modeling.config_spellings import spell_config
from vlreward.modeling.folders import CARD_FILE, check_folder, find_tensor, read_json
from vlreward.modeling.heads import HeadKind, LinearHead, MlpHead, build_head
from vlreward.modeling.network import RewardNetwork
from vlreward.modeling.quiet import quiet_transformers
from vlreward.modeling.text_files import copy_text_files

FolderLayout = Literal["value-head", "sequence-classification"]

VALUE_HEAD_FILE = "value_head.safetensors"
SETTINGS_FILE = "vlreward.json"
_MAX_LENGTH_UNKNOWN = 32768  # Qwen2.5-VL's own: the largest pictures fit
_VALUE_HEAD_PREFIX = "v_head."
_SCORE_WEIGHT = "score.weight"
_MAX_SHARD_SIZE = "5GB"


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardSettings:
    """What a reward model remembers of its training, kept in vlreward.json.

    `reward_mean` and `reward_std` are those of a sample of its training responses. `max_length`,
    `overflow`, `min_pixels` and `max_pixels` are what it was trained with.
    """

    head: HeadKind = "linear"
    reward_mean: float | None = None
    reward_std: float | None = None
    max_length: int | None = None
    overflow: Overflow = "truncate"
    min_pixels: int | None = None
    max_pixels: int | None = None

    def collation(self) -> CollationConfig:
        """How the model was trained to be given its rows, as far as that is known."""
        return CollationConfig(
            max_length=_MAX_LENGTH_UNKNOWN if self.max_length is None else self.max_length,
            overflow=self.overflow,
            min_pixels=self.min_pixels,
            max_pixels=self.max_pixels,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RewardCheckpoint:
    """A network in memory, its settings, and the folder whose tokenizer files belong to it."""

    network: RewardNetwork
    settings: RewardSettings
    text_folder: Path

    @property
    def config(self) -> PreTrainedConfig:
        """The backbone's configuration."""
        return self.network.backbone.config


def load_checkpoint(
    folder: Path, *, dtype: torch.dtype, new_head: HeadKind | None = None, seed: int = 0
) -> RewardCheckpoint:
    """Reads a folder in any of the layouts.

    A base model without a head gets one of kind `new_head`, or is refused where that is None.
    Raises CheckpointError if something is missing, damaged, not finite, or asks for code.
    """
    config = read_config(folder)
    settings = _read_settings(folder)
    state = _read_head(folder)
    if state is None and new_head is None:
        raise _reward_head_missing(folder)
    with quiet_transformers():
        backbone = backbones.load_backbone(folder, config, dtype=dtype)
    if state is None:
        assert new_head is not None
        settings = replace(settings, head=new_head)
        head = build_head(new_head, hidden_size=_hidden_size(config), seed=seed)
    else:
        head = _restore_head(state, hidden_size=_hidden_size(config), folder=folder)
        settings = replace(settings, head=head.kind)
    check_finite({**dict(backbone.named_parameters()), **dict(head.named_parameters())}, folder)
    network = RewardNetwork(backbone, head)
    return RewardCheckpoint(network=network, settings=settings, text_folder=folder)


def save_checkpoint(
    checkpoint: RewardCheckpoint,
    folder: Path,
    *,
    layout: FolderLayout = "value-head",
    card: str | None = None,
) -> None:
    """Writes the folder whole or not at all, `card` as README.md; float32 scores stay the same.

    The sequence-classification layout has no bias: a linear head's bias is left out, which shifts
    all scores alike. Raises CheckpointError if the head is not linear there.
    """
    with AtomicFolder(folder) as unfinished:
        if layout == "value-head":
            write_weights(checkpoint, unfinished)
        else:
            _write_sequence_classification(checkpoint, unfinished)
        _copy_text_files(checkpoint, unfinished)
        settings = checkpoint.settings
        if layout == "sequence-classification" and settings.reward_mean is not None:
            bias = checkpoint.network.head.summary.bias.item()
            settings = replace(settings, reward_mean=settings.reward_mean - bias)
        text = json.dumps(asdict(settings), indent=2)
        (unfinished / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")
        if card is not None:
            (unfinished / CARD_FILE).write_text(card, encoding="utf-8")


def save_base_model(checkpoint: RewardCheckpoint, folder: Path) -> None:
    """Writes the backbone alone, whole or not at all, as the full model that it was made for.

    Its LM head is its embedding, so the embeddings must be tied.
    """
    assert checkpoint.config.get_text_config().tie_word_embeddings, "the LM head would be missing"
    with AtomicFolder(folder) as unfinished:
        _write_backbone(checkpoint.network.backbone, unfinished, extra={})
        _write_config(checkpoint, unfinished, architecture=_architecture(checkpoint.config))
        _copy_text_files(checkpoint, unfinished)


def write_weights(checkpoint: RewardCheckpoint, folder: Path) -> None:
    """Writes backbone and head in the value-head layout into an existing folder."""
    _write_backbone(checkpoint.network.backbone, folder, extra={})
    _write_config(checkpoint, folder, architecture=_architecture(checkpoint.config))
    state = {
        f"{_VALUE_HEAD_PREFIX}{name}": tensor.detach().cpu().contiguous()
        for name, tensor in checkpoint.network.head.state_dict().items()
    }
    (folder / VALUE_HEAD_FILE).write_bytes(save(state, metadata={"format": "pt"}))


def _copy_text_files(checkpoint: RewardCheckpoint, folder: Path) -> None:
    copy_text_files(
        checkpoint.text_folder,
        folder,
        config=checkpoint.config,
        min_pixels=checkpoint.settings.min_pixels,
        max_pixels=checkpoint.settings.max_pixels,
    )


def _write_sequence_classification(checkpoint: RewardCheckpoint, folder: Path) -> None:
    head = checkpoint.network.head
    if not isinstance(head, LinearHead):
        raise CheckpointError(
            "head-not-exportable",
            value=f"a head of kind {head.kind}",
            place=SETTINGS_FILE,
            expected="a linear head: the layout holds one weight vector",
            mend="Export in the value-head layout.",
        )
    _write_backbone(
        checkpoint.network.backbone, folder, extra={_SCORE_WEIGHT: head.summary.weight.detach()}
    )
    architecture = _architecture(checkpoint.config)
    for ending in ("ForConditionalGeneration", "ForCausalLM"):
        architecture = architecture.replace(ending, "ForSequenceClassification")
    _write_config(
        checkpoint,
        folder,
        architecture=architecture,
        extra={"num_labels": 1, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}},
    )


def _write_backbone(backbone: PreTrainedModel, folder: Path, *, extra: dict[str, Tensor]) -> None:
    """The backbone's shards under the names that a full model of its kind has on the hub.

    An empty full model lends its naming; it holds no weights, so no LM head is written.
    """
    with torch.device("meta"):
        full = full_model_class(backbone.config)(backbone.config)
    prefix = full.base_model_prefix
    state = {
        f"{prefix}.{name}": tensor.detach().cpu().contiguous()
        for name, tensor in backbone.state_dict().items()
    }
    with quiet_transformers():
        full.save_pretrained(
            folder,
            state_dict=state | {name: tensor.cpu() for name, tensor in extra.items()},
            max_shard_size=_MAX_SHARD_SIZE,
        )
    (folder / "generation_config.json").unlink(missing_ok=True)


def _write_config(
    checkpoint: RewardCheckpoint,
    folder: Path,
    *,
    architecture: str,
    extra: dict[str, Any] | None = None,
) -> None:
    dtype = str(next(checkpoint.network.backbone.parameters()).dtype).removeprefix("torch.")
    spelled = spell_config(checkpoint.config, architecture=architecture, dtype=dtype)
    text = json.dumps(spelled | (extra or {}), indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def full_model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class of a whole model, LM head included."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    multimodal = backbones.is_vision_language(config)
    auto = AutoModelForImageTextToText if multimodal else AutoModelForCausalLM
    found: type[PreTrainedModel] = auto._model_mapping[type(config)]
    return found


def _architecture(config: PreTrainedConfig) -> str:
    return full_model_class(config).__name__


def read_config(folder: Path, *, needs_weights: bool = True) -> PreTrainedConfig:
    """The configuration of a model of a kind that can be a backbone.

    Raises ConfigError for another kind, and as `read_any_config` does.
    """
    config = read_any_config(folder, needs_weights=needs_weights)
    backbones.is_vision_language(config)
    return config


def read_any_config(folder: Path, *, needs_weights: bool = True) -> PreTrainedConfig:
    """The configuration of a model folder that asks for no code; raises CheckpointError."""
    check_folder(folder, needs_weights=needs_weights)
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise CheckpointError(
            "model-config-unknown",
            value=" ".join(str(error).split()),
            place=str(folder / "config.json"),
            expected="the configuration of a model class of transformers",
            mend="Check model_type; a newer transformers may know it.",
        ) from error


def _read_settings(folder: Path) -> RewardSettings:
    path = folder / SETTINGS_FILE
    if not path.exists():
        return RewardSettings()
    unknown = read_json(path).keys() - {field.name for field in fields(RewardSettings)}
    if unknown:
        raise CheckpointError(
            "settings-invalid",
            value=", ".join(sorted(unknown)),
            place=str(path),
            expected="the keys that this version of vlreward knows",
            mend="Restore the file as it was written, or update vlreward.",
        )
    try:
        return TypeAdapter(RewardSettings).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(
            "settings-invalid",
            value=str(first["input"]),
            place=f"{path}: {'.'.join(str(part) for part in first['loc'])}",
            expected=first["msg"],
            mend="Restore the file as it was written.",
        ) from error


def _reward_head_missing(folder: Path) -> CheckpointError:
    """The error of a base model where a reward model is wanted."""
    return CheckpointError(
        "reward-head-missing",
        value="a model without a reward head",
        place=str(folder),
        expected=f"{VALUE_HEAD_FILE}, or {_SCORE_WEIGHT} among the weights",
        mend="This is a base model: train a reward model from it with `vlreward train`.",
    )


def refuse_without_head(folder: Path) -> None:
    """Raises CheckpointError if the folder is no reward model's, or cannot be read."""
    if not has_reward_head(folder):
        raise _reward_head_missing(folder)


def has_reward_head(folder: Path) -> bool:
    """Whether the folder is a reward model's; raises CheckpointError if it cannot be read."""
    return _read_head(folder) is not None


def _read_head(folder: Path) -> dict[str, Tensor] | None:
    """The head's tensors by their names in our modules, or None for a base model."""
    path = folder / VALUE_HEAD_FILE
    if path.exists():
        try:
            stored = load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                "value-head-damaged",
                value=str(error),
                place=str(path),
                expected="a whole safetensors file",
                mend="Fetch the model again.",
            ) from error
        return {name.removeprefix(_VALUE_HEAD_PREFIX): tensor for name, tensor in stored.items()}
    score = find_tensor(folder, _SCORE_WEIGHT)
    if score is None:
        return None
    return {"summary.weight": score, "summary.bias": torch.zeros(score.shape[:1])}


def _restore_head(
    state: dict[str, Tensor], *, hidden_size: int, folder: Path
) -> LinearHead | MlpHead:
    kind: HeadKind = "mlp" if "hidden.weight" in state else "linear"
    head = build_head(kind, hidden_size=hidden_size, seed=0)
    expected = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if expected != found:
        raise CheckpointError(
            "reward-head-misfit",
            value=str(found),
            place=str(folder),
            expected=str(expected),
            mend="One output for each response is needed: num_labels must be 1.",
        )
    head.load_state_dict(state)
    return head


def check_finite(parameters: dict[str, Tensor], folder: Path) -> None:
    """Raises CheckpointError if a weight is NaN or infinite."""
    for name, parameter in parameters.items():
        if not torch.isfinite(parameter).all():
            raise CheckpointError(
                "weights-not-finite",
                value=f"NaN or infinity in {name}",
                place=str(folder),
                expected="finite weights",
                mend="The model is damaged or its training diverged: use an earlier one.",
            )


def _hidden_size(config: PreTrainedConfig) -> int:
    size: int = config.get_text_config().hidden_size
    return size
