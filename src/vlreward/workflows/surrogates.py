"""What trains curation's surrogate: the trainer, by the recipes of reward models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vlreward.errors import ConfigError
from vlreward.interfaces import RewardFitter
from vlreward.recipes.miniature import miniature
from vlreward.recipes.scratch import scratch
from vlreward.recipes.skywork_vl import skywork_vl
from vlreward.training.config import TrainConfig
from vlreward.workflows.places import anchored_model

_DATA = "(the pairs that a fitter is given)"


_RECIPES: Mapping[str, Callable[[], TrainConfig]] = {
    "skywork-vl": lambda: skywork_vl(data=_DATA),
    "miniature": lambda: miniature(data=_DATA, validation=_DATA, output=_DATA),
    "scratch": lambda: scratch(data=_DATA),
}


def surrogate_config(recipe: str, *, model: str | None) -> TrainConfig:
    """The recipe's configuration for a surrogate; its data and output are yet to be set.

    Raises ConfigError for an unknown recipe, or a model where the recipe takes none.
    """
    if recipe not in _RECIPES:
        raise ConfigError(
            "recipe-unknown",
            value=recipe,
            place="surrogate.recipe",
            expected=f"one of {', '.join(_RECIPES)}",
            mend="Change the name.",
        )
    config = _RECIPES[recipe]()
    if model is None:
        return config
    if config.model.scratch is not None:
        raise ConfigError(
            "surrogate-model-unused",
            value=model,
            place="surrogate.model",
            expected=f"none: the recipe {recipe} begins with random weights",
            mend="Leave it out, or choose another recipe.",
        )
    return replace(config, model=replace(config.model, path=anchored_model(model)))


def find_surrogate_model(recipe: str, *, model: str | None) -> None:
    """Refuses what cannot be trained from, before anything is paid; the hub is not asked yet.

    Raises ConfigError as `surrogate_config`, and CheckpointError for a folder that is not there.
    """
    from vlreward.modeling.folders import find_model_folder

    path = surrogate_config(recipe, model=model).model.path
    if path is not None and (Path(path).is_dir() or path.count("/") != 1):
        find_model_folder(path)


def trainer_fitter(recipe: str, *, model: str | None, folder: Path) -> RewardFitter:
    """See `curation.steps.Fitters`; torch is loaded when this is called."""
    config = surrogate_config(recipe, model=model)
    from vlreward.training.fitter import TrainerFitter

    return TrainerFitter(recipe=config, folder=folder)
