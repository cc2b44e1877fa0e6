"""A configuration that cannot work is refused where it is made, by its key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vlreward.errors import ConfigError
from vlreward.recipes.miniature import miniature, miniature_base
from vlreward.recipes.scratch import scratch
from vlreward.recipes.skywork_vl import skywork_vl
from vlreward.sources.config import SourceConfig
from vlreward.training.config import ObjectiveConfig, OptimizerConfig, StageConfig, TrainConfig

BASE = TrainConfig(output="run", data=(SourceConfig(path="pairs.jsonl"),))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data", ()),
        ("stages", ()),
        ("keep_checkpoints", 0),
        ("save_every_steps", 0),
        ("log_every_steps", 0),
        ("validate_every_steps", -1),
        ("max_refused_share", 1.5),
    ],
)
def test_a_run_with_an_impossible_value_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as refused:
        replace(BASE, **{key: value})  # type: ignore[arg-type]
    assert refused.value.place == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", 1.0),
        ("learning_rate", float("nan")),
        ("warmup_ratio", -0.1),
        ("warmup_ratio", 1.1),
    ],
)
def test_a_stage_with_an_impossible_value_is_refused_by_its_key(key: str, value: float) -> None:
    changes: dict[str, Any] = {key: value}
    stages = (StageConfig(name="good"), StageConfig(name="bad", **changes))
    with pytest.raises(ConfigError) as refused:
        replace(BASE, stages=stages)
    assert refused.value.place == f"stages.1.{key}"


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        (OptimizerConfig, "beta1", 1.0),
        (OptimizerConfig, "beta2", -0.1),
        (OptimizerConfig, "weight_decay", -1.0),
        (OptimizerConfig, "epsilon", 0.0),
        (OptimizerConfig, "max_gradient_norm", 0.0),
        (ObjectiveConfig, "centering", -0.1),
        (ObjectiveConfig, "label_smoothing", 0.5),
        (ObjectiveConfig, "label_smoothing", -0.1),
    ],
)
def test_a_part_with_an_impossible_value_is_refused_by_its_key(
    config: type, key: str, value: float
) -> None:
    with pytest.raises(ConfigError) as refused:
        config(**{key: value})
    assert refused.value.place.endswith(f".{key}")


def test_the_papers_run_has_its_two_stages_of_two_epochs_and_a_frozen_vision_encoder() -> None:
    config = skywork_vl(data=["a.jsonl#train", "hub:owner/name@main#train"], validation=["b.jsonl"])
    assert [(stage.select, stage.epochs) for stage in config.stages] == [
        ("multimodal", 2),
        ("all", 2),
    ]
    assert config.stages[1].learning_rate < config.stages[0].learning_rate
    assert (config.model.freeze_vision, config.model.freeze_projector) == (True, False)
    assert not config.model.freeze_language
    assert config.model.head == "linear"
    assert [(source.path, source.revision, source.split) for source in config.data] == [
        ("a.jsonl", None, "train"),
        ("hub:owner/name", "main", "train"),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_pictures", 0),
        ("num_exam_pictures", 0),
        ("num_questions", -1),
        ("num_text_lessons", -1),
        ("best_by", "accuracy"),
    ],
)
def test_a_base_models_run_with_an_impossible_value_is_refused(key: str, value: int | str) -> None:
    changes: dict[str, Any] = {key: value}
    with pytest.raises(ConfigError) as refused:
        replace(miniature_base(output="run"), **changes)
    assert refused.value.place == key


def test_a_base_models_run_names_first_and_answers_then() -> None:
    config = miniature_base(output="run")
    with pytest.raises(ConfigError, match="one to name, one to answer"):
        replace(config, stages=config.stages[:1])


def test_the_recipe_from_scratch_trains_everything_in_float32() -> None:
    model = scratch(data=["a.jsonl"]).model
    assert model.path is None and model.scratch is not None and model.dtype == "float32"
    assert not (model.freeze_vision or model.freeze_projector or model.freeze_language)


def test_the_miniature_recipe_follows_the_paper() -> None:
    config = miniature(data="a.parquet", validation="b.parquet", output="run", seed=3)
    model = config.model
    assert model.path == "miniature-base" and model.freeze_vision
    assert not (model.freeze_projector or model.freeze_language)
    assert [stage.select for stage in config.stages] == ["multimodal", "all"]
    assert config.seed == 3


def test_the_arguments_of_the_recipe_from_scratch_reach_the_configuration() -> None:
    config = scratch(
        data=["a.jsonl"], output="o", epochs=3, learning_rate=1e-4, batch_size=5, max_pixels=784
    )
    [stage] = config.stages
    assert (stage.epochs, stage.learning_rate, stage.batch_size) == (3, 1e-4, 5)
    assert (config.output, config.collation.max_pixels) == ("o", 784)
