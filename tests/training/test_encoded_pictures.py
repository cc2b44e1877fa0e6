"""Pictures encoded once: the same run, kept in memory or on disk, resumed, and refused in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors import SafetensorError

from tests.support import tiny
from tests.support.training import (
    DeadlyClock,
    Killed,
    drawn_row,
    events_of,
    final_tensors,
    text_row,
    tiny_config,
    write_rows,
)
from vlreward.errors import ConfigError
from vlreward.modeling import backbones
from vlreward.sources.config import SourceConfig
from vlreward.training import encoded_pictures
from vlreward.training.config import PictureCacheConfig, TrainConfig
from vlreward.training.encoded_pictures import PictureCache
from vlreward.training.processes import ALONE
from vlreward.training.run import train


def config_of(where: Path, **pictures: object) -> TrainConfig:
    config = tiny_config(where)
    return replace(
        config,
        model=replace(config.model, freeze_vision=True),
        pictures=PictureCacheConfig(**pictures),  # type: ignore[arg-type]
    )


def losses(folder: Path) -> list[float]:
    return [event["loss"] for event in events_of(folder / "run", "step")]


@pytest.fixture
def few_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures a pass, and hardly more in a file."""
    monkeypatch.setattr(encoded_pictures, "_PATCHES_A_PASS", 48)
    monkeypatch.setattr(encoded_pictures, "_BYTES_A_SHARD", 2048)


@pytest.mark.usefixtures("few_a_shard")
def test_a_run_comes_to_the_same_wherever_they_are_kept(tmp_path: Path) -> None:
    for keep in ("nowhere", "memory", "disk"):
        train(config_of(tmp_path / keep, keep=keep))
    assert losses(tmp_path / "memory") == pytest.approx(losses(tmp_path / "nowhere"), abs=1e-5)
    assert losses(tmp_path / "disk") == losses(tmp_path / "memory")
    shards = list((tmp_path / "disk" / "run" / "encoded-pictures").glob("*/"))
    assert len(shards) > 1
    assert not (tmp_path / "memory" / "run" / "encoded-pictures").exists()


@pytest.mark.usefixtures("few_a_shard")
@pytest.mark.parametrize("keep", ["memory", "disk"])
def test_a_killed_run_goes_on_bit_for_bit(keep: str, tmp_path: Path) -> None:
    train(config_of(tmp_path / "whole", keep=keep))
    config = config_of(tmp_path / "killed", keep=keep)
    with pytest.raises(Killed):
        train(config, clock=DeadlyClock(at_call=9))
    train(config)
    whole, resumed = (final_tensors(tmp_path / name / "run") for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.usefixtures("few_a_shard")
def test_what_is_on_disk_and_whole_is_not_encoded_again(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    train(config_of(tmp_path / "first", keep="disk", folder=str(folder)))
    with count_passes() as passes:
        train(config_of(tmp_path / "second", keep="disk", folder=str(folder)))
    assert passes() == 0
    damaged = sorted(folder.glob("*/pictures.safetensors"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x7f")
    with count_passes() as passes:
        train(config_of(tmp_path / "third", keep="disk", folder=str(folder)))
    assert passes() == 1
    assert losses(tmp_path / "third") == losses(tmp_path / "first")


def test_another_encoder_or_picture_size_does_not_get_them(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    config = config_of(tmp_path / "first", keep="disk", folder=str(folder))
    train(config)
    num_files = len(list(folder.glob("*/")))
    other = replace(config.model, initial_seed=1)
    train(replace(config, output=str(tmp_path / "other"), model=other))
    assert len(list(folder.glob("*/"))) == 2 * num_files
    smaller = replace(config.collation, max_pixels=56 * 56)
    train(replace(config, output=str(tmp_path / "smaller"), collation=smaller))
    assert len(list(folder.glob("*/"))) == 3 * num_files


@pytest.mark.parametrize("keep", ["memory", "disk"])
def test_too_many_are_refused_before_anything_is_encoded(keep: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, keep=keep, max_gib=1e-6)
    with count_passes() as passes, pytest.raises(ConfigError) as refused:
        train(config)
    assert refused.value.code == "picture-cache-too-large"
    assert passes() == 0


@pytest.mark.parametrize(
    ("keep", "what"), [("memory", "free_memory"), ("disk", "shutil.disk_usage")]
)
def test_no_room_is_told_before_anything_is_encoded(
    keep: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = {"memory": 10.0, "disk": mock.Mock(free=10)}[keep]
    monkeypatch.setattr(f"vlreward.training.encoded_pictures.{what}", lambda *_: none)
    with pytest.raises(ConfigError) as refused:
        train(config_of(tmp_path, keep=keep))
    assert refused.value.code == "picture-cache-too-large"


def test_a_disk_that_fills_up_meanwhile_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("vlreward.training.tensors.save_file", full)
    with pytest.raises(ConfigError) as refused:
        train(config_of(tmp_path, keep="disk"))
    assert refused.value.code == "output-not-writable"
    assert not list((tmp_path / "run" / "encoded-pictures").glob("*/"))


@pytest.mark.usefixtures("few_a_shard")
def test_two_runs_may_fill_one_folder_at_a_time(tmp_path: Path) -> None:
    model = tiny.reward_model(tiny.load_tiny(tiny.write_base_model(tmp_path / "b", "qwen2_5_vl")))
    backbones.freeze(
        model.checkpoint.network.backbone, vision=True, projector=False, language=False
    )
    pictures = [tiny.picture(seed) for seed in range(8)]

    def fill(folder: Path) -> None:
        config = PictureCacheConfig(keep="disk", folder=str(folder))
        cache = PictureCache(model, config, folder=tmp_path, processes=ALONE)
        assert len(cache.fill(pictures, advance=lambda: None)) == 8

    with count_passes() as alone:
        fill(tmp_path / "alone")
    with count_passes() as together, ThreadPoolExecutor() as pool:
        for done in [pool.submit(fill, tmp_path / "shared") for _ in range(4)]:
            done.result()
    assert together() == alone() > 1


def test_an_encoder_in_training_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, keep="memory")
    with pytest.raises(ConfigError) as refused:
        train(replace(config, model=replace(config.model, freeze_vision=False)))
    assert refused.value.code == "picture-cache-impossible"
    assert "freeze_vision" in str(refused.value)


def test_padded_rows_are_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, keep="memory")
    with pytest.raises(ConfigError) as refused:
        train(replace(config, model=replace(config.model, layout="padded")))
    assert refused.value.code == "picture-cache-impossible"


def test_data_without_pictures_needs_no_encoder(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "texts.jsonl", *map(text_row, range(8)))
    config = config_of(tmp_path, keep="disk")
    source = SourceConfig(path=str(data))
    train(replace(config, data=(source,), validation=(), stages=config.stages[1:]))
    assert not (tmp_path / "run" / "encoded-pictures").exists()


def test_validation_reads_pictures_that_are_not_in_training(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "few" / "rows.jsonl", *(drawn_row(6 * i) for i in range(3, 11)))
    config = config_of(tmp_path, keep="memory")
    train(replace(config, data=(SourceConfig(path=str(data)),), stages=config.stages[:1]))
    [found] = events_of(tmp_path / "run", "validation")[-1:]
    assert found["overall"]


@contextmanager
def count_passes() -> Iterator[Callable[[], int]]:
    """How often the encoder runs ahead."""
    real = encoded_pictures.encode_pictures
    with mock.patch.object(encoded_pictures, "encode_pictures", side_effect=real) as counted:
        yield lambda: int(counted.call_count)
