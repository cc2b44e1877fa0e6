"""The encoder that belongs to a checkpoint: its tokenizer, template and picture preparation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedConfig

from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Encoder
from vlreward.collation.picture_preparation import PreparesPictures, load_picture_preparation
from vlreward.collation.templates import QwenTemplate, Template, TokenizerTemplate
from vlreward.collation.text import Tokenizer, load_tokenizer
from vlreward.collation.tiled_pictures import tiled_pictures
from vlreward.errors import CheckpointError
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import RewardCheckpoint


def encoder_for(checkpoint: RewardCheckpoint, collation: CollationConfig) -> Encoder:
    """Reads the checkpoint's text folder; raises CheckpointError if something is missing there."""
    return encoder_of(checkpoint.text_folder, config=checkpoint.config, collation=collation)


def encoder_of(folder: Path, *, config: PreTrainedConfig, collation: CollationConfig) -> Encoder:
    """The encoder of a model by its folder and configuration; raises as `encoder_for`."""
    tokenizer = load_tokenizer(folder)
    _refuse_misfit(tokenizer, folder, config=config)
    reading = _reading(folder, tokenizer, config=config, collation=collation)
    is_qwen = config.model_type in backbones.QWEN_TYPES
    return Encoder(
        reading.template,
        preparation=reading.preparation,
        image_token_id=None if reading.preparation is None else config.image_token_id,
        num_axes=3 if is_qwen else 1,
        control_ids=frozenset(tokenizer.control_tokens.values()),
        max_length=collation.max_length,
        overflow=collation.overflow,
    )


class _Reading(NamedTuple):
    """What a kind of model has its own of: how it is told words, and how pictures."""

    template: Template
    preparation: PreparesPictures | None


def _reading(
    folder: Path, tokenizer: Tokenizer, *, config: PreTrainedConfig, collation: CollationConfig
) -> _Reading:
    if not backbones.is_vision_language(config):
        return _Reading(TokenizerTemplate(tokenizer), None)
    if config.model_type not in backbones.QWEN_TYPES:
        pictures = tiled_pictures(folder, config=config, tokenizer=tokenizer)
        return _Reading(TokenizerTemplate(tokenizer, markup=pictures.markup), pictures.preparation)
    return _Reading(
        QwenTemplate(tokenizer, default_system=backbones.has_default_system(config)),
        load_picture_preparation(
            folder, min_pixels=collation.min_pixels, max_pixels=collation.max_pixels
        ),
    )


def _refuse_misfit(tokenizer: Tokenizer, folder: Path, *, config: PreTrainedConfig) -> None:
    """Raises CheckpointError if the tokenizer is of another model than the weights."""
    num_ids = max(tokenizer.hugging_face.get_vocab().values()) + 1
    num_rows = config.get_text_config().vocab_size
    image_id = getattr(config, "image_token_id", None)
    if num_ids > num_rows or not _has_picture_token(tokenizer, config=config):
        raise CheckpointError(
            "tokenizer-misfit",
            value=f"a tokenizer of {num_ids} ids, {image_id} being "
            f"{tokenizer.hugging_face.convert_ids_to_tokens(image_id)!r}"
            if image_id is not None and image_id < num_ids
            else f"a tokenizer of {num_ids} ids",
            place=str(folder),
            expected=f"at most {num_rows} ids, and {image_id} for the tokens of pictures",
            mend="Copy the tokenizer files of the base model into the folder.",
        )


def _has_picture_token(tokenizer: Tokenizer, *, config: PreTrainedConfig) -> bool:
    """Whether the id that the weights take for a picture's is the tokenizer's, too."""
    wanted: int | None = getattr(config, "image_token_id", None)
    if wanted is None:
        return True
    if config.model_type in backbones.QWEN_TYPES:
        return tokenizer.control_tokens.get("<|image_pad|>", wanted) == wanted
    return wanted in tokenizer.control_tokens.values()
