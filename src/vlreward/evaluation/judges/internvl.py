"""InternVL3 in this process, as a generator beside those that `sampling` knows.

`OpenGVLab/InternVL3-8B-hf` and its like: transformers' own class, pictures cut into tiles. The
processor of transformers wants torchvision; here the parts of it that a picture needs are put
together without.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor
from transformers import AutoImageProcessor, InternVLConfig, InternVLForConditionalGeneration

from vlreward.collation.encoding import Encoder, Span
from vlreward.collation.picture_preparation import Grid, PicturePreparation
from vlreward.collation.templates import Element, tokenized
from vlreward.collation.text import Tokenizer, load_tokenizer
from vlreward.errors import CheckpointError
from vlreward.evaluation.scorers.config import WeightsConfig
from vlreward.modeling.checkpoints import read_any_config
from vlreward.modeling.language_models import load_with_head
from vlreward.modeling.quiet import quiet_transformers
from vlreward.pictures import open_rgb
from vlreward.records import Message, Picture, Prompt, Response
from vlreward.sampling import LocalGenerator, Sampling

MODEL_TYPE = "internvl"


class InternVlTemplate:
    """The template of InternVL3: each turn as in ChatML, each picture on a line of its own."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._start = tokenizer.control("<|im_start|>")
        self._end = tokenizer.control("<|im_end|>")
        self._picture_start = tokenizer.control("<img>")
        self._picture_end = tokenizer.control("</img>")

    def render(self, prompt: Prompt, response: Response | None) -> list[Element]:
        """See `collation.templates.Template`."""
        messages = list(prompt.messages)
        if response is not None:
            messages.append(Message(role="assistant", content=response.content))
        pieces: list[Element | str] = []
        for message in messages:
            pieces += [self._start, f"{message.role}\n"]
            for part in message.content:
                if isinstance(part, Picture):
                    pieces += [self._picture_start, part, self._picture_end, "\n"]
                else:
                    pieces.append(part)
            pieces += [self._end, "\n"]
        if response is None:
            pieces += [self._start, "assistant\n"]
        return tokenized(pieces, self._tokenizer)


@dataclass(frozen=True)
class Tiles:
    """A picture as tiles of one size and, where there are several, itself small at the end.

    Plays `PicturePreparation` for an encoder: a tile is a row of the grid, its tokens the columns.
    """

    processor: Any
    tokens_per_tile: int
    merge_size: int = 1

    def grid(self, picture: Picture) -> Grid:
        """One row a tile, one column a token of it."""
        number = self.processor.get_number_of_image_patches(
            picture.height, picture.width, {"crop_to_patches": True}
        )
        return Grid(1, number, self.tokens_per_tile)

    def num_tokens(self, picture: Picture) -> int:
        """How many tokens the picture takes."""
        grid = self.grid(picture)
        return grid.height * grid.width

    def prepare(self, picture: Picture) -> npt.NDArray[np.float32]:
        """The tiles [number, 3, side, side]."""
        made = self.processor(images=[open_rgb(picture)], crop_to_patches=True, return_tensors="np")
        tiles: npt.NDArray[np.float32] = made["pixel_values"]
        return tiles


class InternVlGenerator(LocalGenerator):
    """See `sampling.LocalGenerator`."""

    def _inputs(self, span: Span) -> dict[str, Tensor]:
        inputs = super()._inputs(span)
        inputs.pop("image_grid_thw", None)
        return inputs

    @cached_property
    def tiles(self) -> Tiles:
        """How pictures are cut."""
        return cast(Tiles, self.encoder.preparation)


def load_internvl(
    weights: WeightsConfig, *, folder: Path, max_length: int, sampling: Sampling
) -> InternVlGenerator:
    """The folder's model; raises CheckpointError if it cannot be used."""
    config: InternVLConfig = read_any_config(folder)
    model = load_with_head(
        folder,
        config,
        model_class=InternVLForConditionalGeneration,
        dtype=weights.dtype,
        device=weights.device,
    )
    tokenizer = load_tokenizer(folder)
    if tokenizer.control("<IMG_CONTEXT>") != config.image_token_id:
        raise CheckpointError(
            "tokenizer-misfit",
            value=f"<IMG_CONTEXT> is {tokenizer.control('<IMG_CONTEXT>')}",
            place=str(folder),
            expected=f"{config.image_token_id}, as config.json says",
            mend="Copy the tokenizer files of the model into the folder.",
        )
    tiles = Tiles(_image_processor(folder), config.image_seq_length)
    encoder = Encoder(
        InternVlTemplate(tokenizer),
        preparation=cast(PicturePreparation, tiles),
        image_token_id=config.image_token_id,
        num_axes=3,
        control_ids=frozenset(tokenizer.control_tokens.values()),
        max_length=max_length,
        overflow="refuse",
    )
    return InternVlGenerator(model, encoder, tokenizer, name=weights.path, sampling=sampling)


def _image_processor(folder: Path) -> Any:
    try:
        with quiet_transformers():
            return AutoImageProcessor.from_pretrained(
                folder, backend="pil", trust_remote_code=False
            )
    except Exception as error:
        raise CheckpointError(
            "preprocessor-unreadable",
            value=" ".join(str(error).split()),
            place=str(folder),
            expected="preprocessor_config.json of an InternVL model",
            mend="Fetch the model again.",
        ) from error
