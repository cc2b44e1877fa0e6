"""The encoder that belongs to a checkpoint: its tokenizer, template and picture preparation."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from transformers import PreTrainedConfig

from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Encoder
from vlreward.collation.picture_preparation import load_picture_preparation
from vlreward.collation.templates import QwenTemplate, TokenizerTemplate
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
    control_ids = frozenset(tokenizer.control_tokens.values())
    _refuse_misfit(tokenizer, folder, config=config)
    if not backbones.is_vision_language(config):
        return Encoder(
            TokenizerTemplate(tokenizer),
            preparation=None,
            image_token_id=None,
            num_axes=1,
            control_ids=control_ids,
            max_length=collation.max_length,
            overflow=collation.overflow,
        )
    if config.model_type not in backbones.QWEN_TYPES:
        pictures = tiled_pictures(folder, config=config, tokenizer=tokenizer)
        return Encoder(
            TokenizerTemplate(tokenizer, markup=pictures.markup),
            preparation=pictures.preparation,
            image_token_id=config.image_token_id,
            num_axes=1,
            control_ids=control_ids,
            max_length=collation.max_length,
            overflow=collation.overflow,
        )
    return Encoder(
        QwenTemplate(tokenizer, default_system=backbones.has_default_system(config)),
        preparation=load_picture_preparation(
            folder, min_pixels=collation.min_pixels, max_pixels=collation.max_pixels
        ),
        image_token_id=config.image_token_id,
        num_axes=3,
        control_ids=control_ids,
        max_length=collation.max_length,
        overflow=collation.overflow,
    )


def _refuse_misfit(tokenizer: Tokenizer, folder: Path, *, config: PreTrainedConfig) -> None:
    """Raises CheckpointError if the tokenizer is of another model than the weights."""
    num_ids = max(tokenizer.hugging_face.get_vocab().values()) + 1
    num_rows = config.get_text_config().vocab_size
    image_id = getattr(config, "image_token_id", None)
    own_ids: Collection[int | None] = tokenizer.control_tokens.values()
    if config.model_type in backbones.QWEN_TYPES:
        own_ids = [tokenizer.control_tokens.get("<|image_pad|>", image_id)]
    if num_ids > num_rows or (image_id is not None and image_id not in own_ids):
        raise CheckpointError(
            "tokenizer-misfit",
            value=f"a tokenizer of {num_ids} ids, its special ones {sorted(own_ids)[-9:]}",  # type: ignore[type-var]
            place=str(folder),
            expected=f"at most {num_rows} ids, and {image_id} for the tokens of pictures",
            mend="Copy the tokenizer files of the base model into the folder.",
        )
