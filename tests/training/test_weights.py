"""Sources are used as often as their weights say."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import drawn_row, events_of, text_row, tiny_config, write_rows
from vlreward.errors import ConfigError, DataError
from vlreward.records import Message, Origin, PreferencePair, Prompt, Response
from vlreward.sources.config import SourceConfig
from vlreward.training.config import StageConfig, TrainConfig
from vlreward.training.fitter import TrainerFitter
from vlreward.training.run import train
from vlreward.training.setup import select_pairs

ALL = StageConfig(name="all", epochs=1, batch_size=5, learning_rate=1e-3)


def pair(source: str, number: int) -> PreferencePair:
    return PreferencePair(
        prompt=Prompt(messages=(Message(role="user", content=(f"{source} {number}?",)),)),
        chosen=Response(content=("Yes.",)),
        rejected=Response(content=("No.",)),
        origin=Origin(source=source),
    )


PAIRS = [pair(source, number) for source in ("a", "b", "c") for number in range(400)]


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0, 1.5, 3.0])
def test_a_source_is_used_as_often_as_its_weight_says(weight: float) -> None:
    selected = select_pairs(PAIRS, ALL, weights={"b": weight})
    used = Counter(one.origin.source for one in selected)
    assert used["a"] == used["c"] == 400
    assert used["b"] == pytest.approx(400 * weight, abs=40 * (weight % 1 > 0))
    uses = Counter(one.id for one in selected if one.origin.source == "b").values()
    assert set(uses) <= {int(weight), int(weight) + (weight % 1 > 0)}
    assert selected == select_pairs(PAIRS, ALL, weights={"b": weight}), "the same ones each time"


def test_a_greater_weight_uses_all_that_a_smaller_one_does() -> None:
    few, more = (
        {one.id for one in select_pairs(PAIRS, ALL, weights={"a": weight, "b": 0.0, "c": 0.0})}
        for weight in (0.3, 0.6)
    )
    assert few < more


def test_a_stage_whose_sources_have_no_weight_has_no_pairs() -> None:
    with pytest.raises(DataError, match="stage-without-pairs"):
        select_pairs(PAIRS, ALL, weights={"a": 0, "b": 0, "c": 0})


def config_of(folder: Path, weights: dict[str, float]) -> TrainConfig:
    data = write_rows(folder / "rows.jsonl", *map(drawn_row, range(6)), *map(text_row, range(4)))
    config = tiny_config(folder, stages=(ALL,), weights=weights)
    return replace(config, data=(SourceConfig(path=str(data)),))


def test_a_run_heeds_weights(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"sums": 3.0})
    train(config)
    run = Path(config.output)
    [stage] = events_of(run, "stage")
    assert stage["num_items"] == 6 + 3 * 4
    card = (run / "model" / "README.md").read_text()
    assert "An epoch uses the pairs of sums 3 times, all others once." in card
    assert json.loads((run / "metrics.json").read_text())["num_train_pairs"] == 10


def test_a_weight_of_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        train(config_of(tmp_path, {"summs": 3.0}))
    assert refused.value.code == "weight-of-no-source"
    assert "drawn, sums" in str(refused.value)


@pytest.mark.parametrize("weight", [-1.0, 1000.0, float("nan")])
def test_weights_that_cannot_be_are_refused(tmp_path: Path, weight: float) -> None:
    with pytest.raises(ConfigError, match=r"weights\.sums"):
        config_of(tmp_path, {"sums": weight})


def test_a_surrogate_is_trained_with_the_weights_of_what_it_is_given(tmp_path: Path) -> None:
    recipe = config_of(tmp_path, {"a": 2.0, "elsewhere": 0.5})
    fitter = TrainerFitter(recipe=replace(recipe, stages=(ALL,)), folder=tmp_path / "fits")
    fitter.fit(PAIRS[:6], seed=0)
    [run] = (tmp_path / "fits").glob("*/run")
    assert events_of(run, "stage")[0]["num_items"] == 12
