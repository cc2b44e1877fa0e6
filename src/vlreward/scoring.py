"""A trained reward model in use: the one path by which training, benchmarks and servers score.

model = RewardModel.load("runs/demo/model")
model.score("What colour is the square?", ["Red.", "Blue."], images=["square.png"])
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.packing import assign_rows, pack, pad, row_cost, split_tree
from vlreward.errors import (
    ConfigError,
    DataError,
    NonFiniteError,
    PictureError,
    VlrewardError,
)
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import (
    FolderLayout,
    RewardCheckpoint,
    RewardSettings,
    load_checkpoint,
    save_checkpoint,
)
from vlreward.modeling.config import Layout
from vlreward.modeling.devices import DtypeName, find_device, find_dtype
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.folders import find_model_folder
from vlreward.modeling.self_check import check_packing
from vlreward.pictures import read_bytes, upright
from vlreward.records import Picture, Prompt, Response, Score
from vlreward.sources.attachments import PictureReader
from vlreward.sources.comparisons import draft_responses, to_comparison
from vlreward.sources.convert import RowContext
from vlreward.sources.fields import wrong_type

ImageInput = str | Path | bytes | Image.Image | Picture
PromptInput = str | Sequence[Mapping[str, Any]] | Prompt

COMPARISONS_AT_A_TIME = 64
"""How many comparisons are encoded together, to share forward passes."""

_IMAGE_TYPES = (str, Path, bytes, Image.Image, Picture)
_FORMAT_OF_MODE = {mode: "PNG" for mode in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")} | {
    mode: "TIFF" for mode in ("F", "I", "CMYK")
}
_PLAIN_MODE = {"La": "LA", "RGBa": "RGBA"}
"""The modes whose colours are multiplied by their opacity, and those where they are not."""
_STAND_IN = "-"
"""In the place of the responses, which need no reading: their text is text alone."""


class RewardModel:
    """A reward network with its tokenizer and picture settings; a `Scorer`.

    Load one with `load`, or get one from `vlreward.train`. Rewards are comparable between
    responses to one prompt; `settings.reward_mean` and `reward_std` tell the training scale.
    """

    def __init__(
        self,
        checkpoint: RewardCheckpoint,
        encoder: Encoder,
        *,
        packed: bool,
        token_budget: int = CollationConfig().token_budget,
    ) -> None:
        self.checkpoint = checkpoint
        self.encoder = encoder
        self.packed = packed
        self.token_budget = token_budget

    @classmethod
    def load(
        cls,
        path_or_name: str | Path,
        *,
        revision: str | None = None,
        dtype: DtypeName = "auto",
        device: str | None = None,
        collation: CollationConfig | None = None,
        layout: Layout = "auto",
    ) -> RewardModel:
        """Reads a reward model from a folder or the hub.

        `dtype` auto means float32 on the CPU and bfloat16 on a GPU; `device` defaults to the GPU
        where there is one; `collation` to what the model was trained with. `layout` is as in
        `ModelConfig`. Raises CheckpointError if the folder cannot be used.
        """
        target = find_device(device)
        folder = find_model_folder(str(path_or_name), revision=revision)
        checkpoint = load_checkpoint(folder, dtype=find_dtype(dtype, device=target))
        settings = collation or checkpoint.settings.collation()
        checkpoint.network.to(target).eval()
        encoder = encoder_for(checkpoint, settings)
        packed = backbones.is_packed(checkpoint.config, layout)
        if packed:
            backbones.use_tree_attention(checkpoint.network.backbone)
            check_packing(checkpoint.network, encoder)
        return cls(checkpoint, encoder, packed=packed, token_budget=settings.token_budget)

    @property
    def settings(self) -> RewardSettings:
        """What the model remembers of its training."""
        return self.checkpoint.settings

    def score(
        self,
        prompt: PromptInput,
        responses: Sequence[str | Response],
        *,
        images: Sequence[ImageInput] = (),
    ) -> list[float]:
        """The rewards of the responses, in their order.

        A prompt is a text, a list of {"role", "content"} messages, or a `Prompt`. `<image>` in
        the prompt says where a picture belongs; without it, pictures come first. A response's
        text is taken as it is; one that shows pictures is a `Response`.
        """
        [scores] = self.score_many([_as_comparison(prompt, responses, images)])
        return [score.value for score in scores]

    def rank(
        self,
        prompt: PromptInput,
        responses: Sequence[str | Response],
        *,
        images: Sequence[ImageInput] = (),
    ) -> list[int]:
        """The responses' indices, the best one first; equal rewards keep their order."""
        rewards = self.score(prompt, responses, images=images)
        return sorted(range(len(rewards)), key=lambda index: -rewards[index])

    def score_many(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score]]:
        """Scores of many comparisons, lazily, in their order; see `Scorer`.

        Raises DataError or NonFiniteError on a comparison that cannot be scored.
        """
        for outcome in self.score_each(comparisons):
            if isinstance(outcome, VlrewardError):
                raise outcome
            yield outcome

    def score_each(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score] | VlrewardError]:
        """As `score_many`, but one that cannot be scored yields its error and harms no other."""
        source = iter(comparisons)
        while window := list(islice(source, COMPARISONS_AT_A_TIME)):
            yield from self._score_window(window)

    def save(
        self, folder: str | Path, *, layout: FolderLayout = "value-head", card: str | None = None
    ) -> None:
        """Writes the model; see `vlreward.modeling.checkpoints.save_checkpoint`."""
        save_checkpoint(self.checkpoint, Path(folder), layout=layout, card=card)

    def with_settings(self, settings: RewardSettings) -> RewardModel:
        """The same network with other settings on record."""
        return RewardModel(
            replace(self.checkpoint, settings=settings),
            self.encoder,
            packed=self.packed,
            token_budget=self.token_budget,
        )

    def _score_window(
        self, window: Sequence[tuple[Prompt, Sequence[Response]]]
    ) -> list[list[Score] | VlrewardError]:
        outcomes: list[list[Score] | VlrewardError] = []
        pieces: list[tuple[int, Tree]] = []
        for index, (prompt, responses) in enumerate(window):
            try:
                tree = self.encoder.encode(prompt, responses)
            except DataError as error:
                outcomes.append(error)
                continue
            outcomes.append([])
            split = split_tree(tree, token_budget=self.token_budget, packed=self.packed)
            pieces += [(index, piece) for piece in split]
        rewards = self._rewards([piece for _, piece in pieces])
        for (index, piece), values in zip(pieces, rewards, strict=True):
            before = outcomes[index]
            if isinstance(before, list):
                is_error = isinstance(values, VlrewardError)
                outcomes[index] = values if is_error else [*before, *_scores(piece, values)]
        return outcomes

    @torch.no_grad()
    def _rewards(self, trees: Sequence[Tree]) -> list[list[float] | VlrewardError]:
        """Of each tree the rewards of its branches, or why there are none."""
        network = self.checkpoint.network
        was_training = network.training
        network.eval()
        costs = [row_cost(tree, packed=self.packed) for tree in trees]
        rewards: list[list[float] | VlrewardError] = [[] for _ in trees]
        try:
            for row in assign_rows(costs, token_budget=self.token_budget):
                found = self._row_rewards([trees[place] for place in row])
                for place, values in zip(row, found, strict=True):
                    rewards[place] = values
        finally:
            network.train(was_training)
        return rewards

    def _row_rewards(self, trees: Sequence[Tree]) -> list[list[float] | VlrewardError]:
        """One forward pass; a picture that is gone by now costs its own tree alone."""
        lay_out = pack if self.packed else pad
        try:
            batch = lay_out(trees, self.encoder.preparation)
        except DataError as error:
            if len(trees) == 1:
                return [error]
            return [values for tree in trees for values in self._row_rewards([tree])]
        network = self.checkpoint.network
        rewards = iter(network(batch.to(network.device)).tolist())
        return [_finite(list(islice(rewards, len(tree.branches)))) for tree in trees]


def _finite(rewards: list[float]) -> list[float] | NonFiniteError:
    if all(math.isfinite(reward) for reward in rewards):
        return rewards
    return NonFiniteError(
        "reward-not-finite",
        value="NaN or infinity among the rewards",
        place="scoring",
        expected="finite numbers",
        mend="Load the model in bfloat16 or float32; else its training diverged.",
    )


def _scores(tree: Tree, rewards: Sequence[float]) -> list[Score]:
    return [
        Score(
            value=reward,
            num_tokens=len(tree.prefix) + len(branch),
            truncated_tokens=truncated,
        )
        for reward, branch, truncated in zip(
            rewards, tree.branches, tree.truncated_tokens, strict=True
        )
    ]


def as_picture(image: ImageInput) -> Picture:
    """A picture as `RewardModel.score` takes it, as a record; raises DataError."""
    if isinstance(image, Picture):
        return image
    if not isinstance(image, _IMAGE_TYPES):
        expected = "a path, a data URI, bytes or a PIL image"
        raise wrong_type(image, field="images", expected=expected)
    return PictureReader(None).read(_as_source(image), folder=Path.cwd(), field="images")


def _as_comparison(
    prompt: PromptInput, responses: Sequence[str | Response], images: Sequence[ImageInput]
) -> tuple[Prompt, list[Response]]:
    """What `score` was given, as records; raises DataError or ConfigError where it is not."""
    responses = _items(responses, (str, Response), field="responses", expected="texts")
    images = _items(images, _IMAGE_TYPES, field="images", expected="paths, bytes or PIL images")
    if not responses:
        raise _wrong_argument("responses", value="none", expected="a list of one or more")
    if isinstance(prompt, Prompt):
        if images:
            expected = "none, as the messages of a Prompt hold its pictures"
            raise _wrong_argument("images", value=f"{len(images)} images", expected=expected)
    else:
        row = {"prompt": prompt, "responses": [_STAND_IN], "images": [*map(_as_source, images)]}
        context = RowContext(place="score", folder=Path.cwd(), default_source="score")
        prompt = to_comparison(
            row, form=draft_responses, context=context, pictures=PictureReader(None)
        ).prompt
    answers = [r if isinstance(r, Response) else Response(content=(r,)) for r in responses]
    _refuse_empty(answers)
    return prompt, answers


def _items(value: Any, kinds: tuple[type, ...], *, field: str, expected: str) -> list[Any]:
    """The argument as a list; a single text, path or picture in its place is refused."""
    items = None if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__") else [*value]
    if items is None or not all(isinstance(item, kinds) for item in items):
        raise _wrong_argument(field, value=value, expected=f"a list of {expected}")
    return items


def _wrong_argument(field: str, *, value: object, expected: str) -> ConfigError:
    return ConfigError(
        "argument-wrong",
        value=value,
        place=field,
        expected=expected,
        mend=f"Write {field}=[…].",
    )


def _refuse_empty(responses: Sequence[Response]) -> None:
    for index, response in enumerate(responses):
        if not response.pictures and not response.text.strip():
            raise DataError(
                "answer-empty",
                value="white space or nothing",
                place=f"responses[{index}]",
                expected="an answer with text or a picture",
                mend="Leave the response out.",
            )


def _as_source(image: ImageInput) -> str | bytes:
    if isinstance(image, Image.Image):
        try:
            return _as_file(upright(image))
        except OSError as error:  # read only now, and damaged
            raise PictureError(
                "picture-unreadable",
                value=str(error),
                place="images",
                expected="a picture that Pillow can read",
                mend="Leave the picture out, or fetch it again.",
            ) from error
    if isinstance(image, Picture):
        return read_bytes(image)
    return str(image) if isinstance(image, Path) else image


def _as_file(image: Image.Image) -> bytes:
    """The image as a lossless file; modes that neither format holds become plainer ones."""
    if image.mode not in _FORMAT_OF_MODE:
        image = image.convert(_PLAIN_MODE.get(image.mode, "RGB"))
    buffer = io.BytesIO()
    image.save(buffer, format=_FORMAT_OF_MODE[image.mode], compress_level=1)
    return buffer.getvalue()
