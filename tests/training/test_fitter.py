"""Pairs in, a trained scorer out: the surrogate as the trainer makes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import (
    TWO_STAGES,
    drawn_row,
    events_of,
    text_row,
    tiny_config,
    write_rows,
)
from vlreward.errors import ConfigError
from vlreward.interfaces import RewardFitter
from vlreward.records import PreferencePair
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences
from vlreward.training.fitter import TrainerFitter
from vlreward.workflows.surrogates import surrogate_config, trainer_fitter


@pytest.fixture
def fitter(tmp_path: Path) -> TrainerFitter:
    return TrainerFitter(recipe=tiny_config(tmp_path), folder=tmp_path / "surrogate")


def pairs(folder: Path, *, num_drawn: int = 10, num_texts: int = 5) -> list[PreferencePair]:
    rows = [*map(drawn_row, range(num_drawn)), *map(text_row, range(num_texts))]
    found = read_preferences(SourceConfig(path=str(write_rows(folder / "given.jsonl", *rows))))
    return [one for one in found if isinstance(one, PreferencePair)]


def scores(fitter: RewardFitter, given: list[PreferencePair], *, seed: int = 0) -> list[float]:
    scorer = fitter.fit(given, seed=seed)
    asked = [(one.prompt, [one.chosen, one.rejected]) for one in given]
    return [score.value for found in scorer.score_many(asked) for score in found]


def runs(fitter: TrainerFitter) -> list[Path]:
    return sorted(fitter.folder.glob("*/run"))


def test_a_fit_trains_on_the_pairs_given_without_validation(
    tmp_path: Path, fitter: TrainerFitter
) -> None:
    found = scores(fitter, pairs(tmp_path))
    assert len(found) == 30 and len(set(found)) > 20
    [run] = runs(fitter)
    [started] = events_of(run, "started")
    assert (started["num_train_pairs"], started["num_validation_pairs"]) == (15, 0)
    assert events_of(run, "validation") == [] and len(events_of(run, "stage")) == 2


def test_the_same_fit_again_loads_what_was_trained(tmp_path: Path, fitter: TrainerFitter) -> None:
    given = pairs(tmp_path)
    first = scores(fitter, given)
    [run] = runs(fitter)
    events = (run / "events.jsonl").read_bytes()
    assert scores(fitter, given) == pytest.approx(first, abs=1e-6)
    assert runs(fitter) == [run] and (run / "events.jsonl").read_bytes() == events


def test_other_pairs_or_another_seed_are_another_run(tmp_path: Path, fitter: TrainerFitter) -> None:
    given = pairs(tmp_path)
    fits = [scores(fitter, given), scores(fitter, given, seed=1), scores(fitter, given[:-1])]
    assert len(runs(fitter)) == 3 and len({found[0] for found in fits}) == 3


def test_stages_without_pairs_are_left_out(tmp_path: Path, fitter: TrainerFitter) -> None:
    assert [stage.select for stage in TWO_STAGES] == ["multimodal", "all"]
    scores(fitter, pairs(tmp_path, num_drawn=0))
    [run] = runs(fitter)
    assert [stage["name"] for stage in events_of(run, "stage")] == ["all"]


def test_a_recipe_begins_with_the_model_that_is_named_or_with_its_own(tmp_path: Path) -> None:
    assert surrogate_config("miniature", model=None).model.path == "miniature-base"
    assert surrogate_config("skywork-vl", model="here").model.path == "here"
    scratch = surrogate_config("scratch", model=None)
    fitter = trainer_fitter("scratch", model=None, folder=tmp_path)
    assert fitter == TrainerFitter(recipe=scratch, folder=tmp_path)
    assert scratch.model == replace(scratch.model, path=None)


def test_recipes_and_models_that_do_not_go_are_refused() -> None:
    with pytest.raises(ConfigError, match="skywork-vl, miniature, scratch"):
        surrogate_config("other", model=None)
    with pytest.raises(ConfigError, match="random weights"):
        surrogate_config("scratch", model="here")
