"""A curation's places by their absolute paths, so that it is the same run from any folder."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from vlreward.curation.config import AnyStep, CurateConfig
from vlreward.curation.decontaminate import Decontaminate
from vlreward.curation.regenerate_weak import RegenerateWeak
from vlreward.generation.config import EndpointConfig
from vlreward.sources.config import SourceConfig


def anchored(config: CurateConfig) -> CurateConfig:
    """The configuration with all paths absolute; names of models and hub data stay names."""
    return replace(
        config,
        output=os.path.abspath(config.output),
        data=tuple(map(_anchored_source, config.data)),
        steps=tuple(map(_anchored_step, config.steps)),
        embedder=anchored_model(config.embedder),
    )


def anchored_model(name: str) -> str:
    """The absolute path of a model's folder; the name where there is no such folder."""
    return _absolute(name) if Path(name).expanduser().is_dir() else name


def _anchored_step(step: AnyStep) -> AnyStep:
    loaded: dict[str, Any] = {
        one.name: replace(asked, model=anchored_model(asked.model))
        for one in fields(step)
        if isinstance(asked := getattr(step, one.name), EndpointConfig) and asked.is_in_process
    }
    step = replace(step, **loaded)
    if isinstance(step, Decontaminate):
        return replace(step, benchmarks=tuple(map(_anchored_source, step.benchmarks)))
    if isinstance(step, RegenerateWeak) and step.surrogate.model is not None:
        model = anchored_model(step.surrogate.model)
        return replace(step, surrogate=replace(step.surrogate, model=model))
    return step


def _anchored_source(source: SourceConfig) -> SourceConfig:
    folder = source.picture_folder
    return replace(
        source,
        path=source.path if source.is_hub else _absolute(source.path),
        picture_folder=None if folder is None else _absolute(folder),
    )


def _absolute(path: str) -> str:
    return os.path.abspath(Path(path).expanduser())
