"""Odd but valid pictures train and score like any other, in both layouts."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from tests.support import tiny
from tests.support.training import objective_of, tiny_config
from vlreward.pictures import admit
from vlreward.records import Picture
from vlreward.scoring import RewardModel
from vlreward.training.comparisons import rows_of_batch
from vlreward.training.config import OptimizerConfig
from vlreward.training.loop import train_step
from vlreward.training.optimizer import MasterOptimizer
from vlreward.training.setup import build_model

TOLERANCE = 1e-5


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height))


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return admit(buffer.getvalue())


def rotated() -> Picture:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(noise(120, 40), "JPEG", exif=exif)


PICTURES = {
    "a single pixel": lambda: encoded(noise(1, 1)),
    "smaller than a patch": lambda: encoded(noise(9, 5)),
    "187x18": lambda: encoded(noise(187, 18)),
    "2520x8526": lambda: encoded(noise(2520, 8526), "JPEG"),
    "RGBA": lambda: encoded(noise(40, 40).convert("RGBA")),
    "palette": lambda: encoded(noise(40, 40).convert("P"), transparency=3),
    "16-bit grey": lambda: encoded(
        Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40)
    ),
    "one bit": lambda: encoded(noise(40, 40).convert("1")),
    "CMYK": lambda: encoded(noise(40, 40).convert("CMYK"), "JPEG"),
    "EXIF-rotated": rotated,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    config = tiny_config(tmp_path_factory.mktemp("odd"))
    return build_model(config, device=torch.device("cpu"))


@pytest.mark.parametrize("name", PICTURES)
def test_an_odd_picture_trains_and_scores(model: RewardModel, name: str) -> None:
    picture = PICTURES[name]()
    pair = tiny.pair(
        tiny.prompt(picture, "What is this?"), tiny.response("A."), tiny.response("Bee.")
    )
    network = model.checkpoint.network
    plain = RewardModel(model.checkpoint, model.encoder, packed=False)
    rewards = model.score(pair.prompt, [pair.chosen, pair.rejected])
    assert all(map(math.isfinite, rewards))
    assert rewards == pytest.approx(
        plain.score(pair.prompt, [pair.chosen, pair.rejected]), abs=TOLERANCE
    )
    rows = rows_of_batch([pair], model.encoder, token_budget=1, packed=True, use_margin=False)
    optimizer = MasterOptimizer(network, OptimizerConfig())
    metrics = train_step(objective_of(model), optimizer, rows, learning_rate=1e-4)
    assert math.isfinite(metrics.loss)
    assert metrics.gradient_norm > 0


def test_a_rotated_picture_scores_as_it_is_seen(model: RewardModel) -> None:
    sideways = rotated()
    assert (sideways.width, sideways.height) == (40, 120)
    with Image.open(io.BytesIO(sideways.data or b"")) as stored:
        upright = encoded(stored.transpose(Image.Transpose.ROTATE_270))
    rewards = [
        model.score(tiny.prompt(picture, "What is this?"), ["A."])
        for picture in (sideways, upright, replace(upright, sha256="-"))
    ]
    assert rewards[0] == rewards[1] == rewards[2]
