"""Rows from the Hugging Face hub, streamed through `datasets`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vlreward.errors import DataError
from vlreward.sources.config import HUB_PREFIX, SourceConfig
from vlreward.sources.files import RawRow, checked_row

LoadDataset = Callable[..., Any]
"""`datasets.load_dataset`, or what stands for it in a test."""


def open_hub(config: SourceConfig, *, load_dataset: LoadDataset | None = None) -> Iterator[RawRow]:
    """The rows of a split on the hub, lazily, pictures left undecoded.

    Raises DataError if the data set cannot be found or reached, now or while the rows stream.
    """
    name = config.path.removeprefix(HUB_PREFIX)
    # The hub's client raises errors of several libraries without a common base, and which ones
    # changes with its version; whatever comes, the data could not be had.
    try:
        dataset = (load_dataset or _library())(
            name,
            config.subset,
            split=config.split or "train",
            revision=config.revision,
            streaming=True,
        )
        if dataset.features is not None:
            dataset = dataset.decode(False)
    except Exception as error:
        raise _not_had(config, error) from error
    return _stream(dataset, config=config, name=name)


def _library() -> LoadDataset:
    """`datasets.load_dataset`; imported here because it is heavy and needed for the hub alone."""
    import datasets

    load: LoadDataset = datasets.load_dataset
    return load


def _stream(dataset: Any, *, config: SourceConfig, name: str) -> Iterator[RawRow]:
    rows = iter(dataset)
    folder = None if config.picture_folder is None else Path(config.picture_folder)
    part = "/".join(one for one in (config.subset, config.split or "train") if one is not None)
    where = f"{HUB_PREFIX}{name} ({part})"
    number = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:
            raise _not_had(config, error) from error
        number += 1
        place = f"{where}:row {number}"
        yield RawRow(place=place, row=checked_row(row), folder=folder, stem=name)


def _not_had(config: SourceConfig, error: Exception) -> DataError:
    asked = ", ".join(
        f"{key} {value}"
        for key, value in (
            ("split", config.split or "train"),
            ("subset", config.subset),
            ("revision", config.revision),
        )
        if value is not None
    )
    return DataError(
        "hub-not-read",
        value=f"{type(error).__name__}: {error}",
        place=f"{config.path} ({asked})",
        expected="a data set on the hub that can be reached",
        mend="Check name, split and revision and the connection; or download the data set where "
        "there is one (`hf download --repo-type dataset …`) and give its folder or files as path.",
    )
