"""Pictures as LLaVA, InternVL, Idefics3, SmolVLM and Gemma-3 want them: tiles of one size.

Pixels come from transformers' own image processors, on Pillow. Around a picture's tokens each
family writes marks of its own, which are those of transformers' processors (`processing_llava.py`,
`processing_internvl.py`, `processing_idefics3.py`, `processing_gemma3.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from transformers import AutoImageProcessor, PreTrainedConfig

from vlreward.collation.picture_preparation import Grid
from vlreward.collation.templates import Element, PictureMarkup
from vlreward.collation.text import Tokenizer
from vlreward.errors import CheckpointError
from vlreward.pictures import open_rgb
from vlreward.records import Picture


class Tiling(NamedTuple):
    """Into how many tiles a picture is cut; rows and columns are 0 where it stays whole.

    `number` counts the small copy of the whole, too, where there is one.
    """

    number: int
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True, kw_only=True)
class TiledPreparation:
    """A family's tiles, as `Encoder` asks for them.

    `run_tokens` are those of the run that stands for a picture in a row of elements; what other
    runs a picture has, its markup writes.
    """

    processor: Any
    tile: Callable[[Picture], Tiling]
    tokens_per_tile: int
    run_is_one_tile: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def grid(self, picture: Picture) -> Grid:
        """One row a tile, one column a token of it."""
        return Grid(1, self.tile(picture).number, self.tokens_per_tile)

    def num_tokens(self, picture: Picture) -> int:
        """How many tokens the picture's run takes."""
        return self.tokens_per_tile * (1 if self.run_is_one_tile else self.tile(picture).number)

    def prepare(self, picture: Picture) -> npt.NDArray[np.float32]:
        """The tiles [number, 3, side, side]."""
        made = self.processor(images=[open_rgb(picture)], return_tensors="np", **self.options)
        tiles: npt.NDArray[np.float32] = made["pixel_values"]
        return tiles.reshape(-1, *tiles.shape[-3:])


class TiledPictures(NamedTuple):
    """How a family's pictures are prepared, and what its rows say around them."""

    preparation: TiledPreparation
    markup: PictureMarkup


def tiled_pictures(
    folder: Path, *, config: PreTrainedConfig, tokenizer: Tokenizer
) -> TiledPictures:
    """The pictures of the folder's model; raises CheckpointError if its files do not serve."""
    processor = _image_processor(folder)
    return FAMILIES[config.model_type](config, processor, tokenizer)


def _llava(config: Any, processor: Any, tokenizer: Tokenizer) -> TiledPictures:
    vision = config.vision_config
    num_tokens = (vision.image_size // vision.patch_size) ** 2
    has_class_token = "clip" in vision.model_type
    if config.vision_feature_select_strategy == "default":
        num_tokens -= not has_class_token
    else:
        num_tokens += has_class_token
    return TiledPictures(
        TiledPreparation(processor=processor, tile=lambda _: Tiling(1), tokens_per_tile=num_tokens),
        PictureMarkup(_token(tokenizer, config.image_token_id), lambda picture: [picture]),
    )


def _internvl(config: Any, processor: Any, tokenizer: Tokenizer) -> TiledPictures:
    start, end = tokenizer.control("<img>"), tokenizer.control("</img>")
    options = {"crop_to_patches": True}

    def tile(picture: Picture) -> Tiling:
        sides = (picture.height, picture.width)
        return Tiling(processor.get_number_of_image_patches(*sides, options))

    return TiledPictures(
        TiledPreparation(
            processor=processor,
            tile=tile,
            tokens_per_tile=config.image_seq_length,
            options=options,
        ),
        PictureMarkup(
            _token(tokenizer, config.image_token_id), lambda picture: [start, picture, end]
        ),
    )


def _idefics3(config: Any, processor: Any, tokenizer: Tokenizer) -> TiledPictures:
    vision = config.vision_config
    num_tokens = (vision.image_size // vision.patch_size) ** 2 // config.scale_factor**2
    around, whole = (
        tokenizer.control("<fake_token_around_image>"),
        _added(tokenizer, "<global-img>"),
    )

    def tile(picture: Picture) -> Tiling:
        sides = (picture.height, picture.width)
        number, rows, columns = processor.get_number_of_image_patches(*sides, {})
        return Tiling(max(1, number), rows, columns)

    def pieces(picture: Picture) -> list[Element | str]:
        """Each tile behind its place, then the whole; the first run stands for the picture."""
        _, rows, columns = tile(picture)
        plain_run: list[Element | str] = [config.image_token_id] * num_tokens
        runs: Iterator[list[Element | str]] = chain([[picture]], repeat(plain_run))
        found: list[Element | str] = []
        for row in range(1, rows + 1):
            for column in range(1, columns + 1):
                place = _added(tokenizer, f"<row_{row}_col_{column}>")
                found += [around, place, *next(runs)]
            found.append("\n")
        found += ["\n"] if rows else []
        return [*found, around, whole, *next(runs), around]

    return TiledPictures(
        TiledPreparation(
            processor=processor, tile=tile, tokens_per_tile=num_tokens, run_is_one_tile=True
        ),
        PictureMarkup(_token(tokenizer, config.image_token_id), pieces),
    )


def _gemma3(config: Any, processor: Any, tokenizer: Tokenizer) -> TiledPictures:
    start, end = config.boi_token_index, config.eoi_token_index
    return TiledPictures(
        TiledPreparation(
            processor=processor,
            tile=lambda _: Tiling(1),
            tokens_per_tile=config.mm_tokens_per_image,
            options={"do_pan_and_scan": False},
        ),
        PictureMarkup(
            _token(tokenizer, start), lambda picture: ["\n\n", start, picture, end, "\n\n"]
        ),
    )


FAMILIES: Mapping[str, Callable[[Any, Any, Tokenizer], TiledPictures]] = {
    "llava": _llava,
    "internvl": _internvl,
    "idefics3": _idefics3,
    "smolvlm": _idefics3,
    "gemma3": _gemma3,
}
"""By `model_type`."""


def _token(tokenizer: Tokenizer, token_id: int) -> str:
    """How a control token is written; raises CheckpointError if there is none of the id."""
    written = {number: token for token, number in tokenizer.control_tokens.items()}
    if token_id not in written:
        raise CheckpointError(
            "tokenizer-misfit",
            value=f"a tokenizer without a special token of id {token_id}",
            place="tokenizer",
            expected="the token for pictures that config.json names",
            mend="Copy the tokenizer files of the base model into the folder.",
        )
    return written[token_id]


def _added(tokenizer: Tokenizer, token: str) -> int:
    """The id of an added token, which need not be special."""
    found = tokenizer.hugging_face.convert_tokens_to_ids(token)
    if found is None or found == tokenizer.hugging_face.unk_token_id:
        return tokenizer.control(token)
    return int(found)


def _image_processor(folder: Path) -> Any:
    try:
        return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)
    except Exception as error:
        raise CheckpointError(
            "preprocessor-unreadable",
            value=" ".join(str(error).split()),
            place=str(folder),
            expected="preprocessor_config.json or processor_config.json of the model",
            mend="Copy it from the base model.",
        ) from error
