"""A run's folder, told as a person finds it; what ends a run early, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from tests.support.training import (
    TWO_STAGES,
    DeadlyClock,
    drawn_row,
    events_of,
    final_tensors,
    text_row,
    tiny_config,
    write_rows,
)
from vlreward import configuration
from vlreward.durable import verify_manifest
from vlreward.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    Interrupted,
    MissingExtraError,
    NonFiniteError,
)
from vlreward.modeling.config import ModelConfig
from vlreward.progress import Progress
from vlreward.runs import only_writer
from vlreward.sources.config import SourceConfig
from vlreward.training.config import ObjectiveConfig, StageConfig, TrainConfig
from vlreward.training.run import train
from vlreward.training.state import list_checkpoints, load_newest

ONE_STEP = (StageConfig(name="once", epochs=1, batch_size=64, learning_rate=1e-3),)


def read_rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]


def interrupted_at(phase_name: str) -> type[Progress]:
    """A Progress in which a signal comes at the second unit of a phase of this name."""

    class Impatient(Progress):
        @contextmanager
        def phase(self, name: str, **about: Any) -> Iterator[Any]:
            with super().phase(name, **about) as advance:
                num_units = 0

                def advance_or_signal(note: str = "") -> None:
                    nonlocal num_units
                    num_units += 1
                    if name == phase_name and num_units == 2:
                        signal.raise_signal(signal.SIGTERM)
                    advance(note)

                yield advance_or_signal

    return Impatient


def with_rows(config: TrainConfig, *rows: dict[str, Any]) -> TrainConfig:
    """The configuration with other training rows, trained in a single step and not validated."""
    path = write_rows(Path(config.output).parent / "data" / "other.jsonl", *rows)
    data = (SourceConfig(path=str(path)),)
    return replace(config, data=data, validation=(), stages=ONE_STEP)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    config = tiny_config(tmp_path_factory.mktemp("finished"))
    train(config)
    return config


def test_the_folder_holds_what_a_person_looks_for(finished: TrainConfig) -> None:
    run = Path(finished.output)
    assert sorted(path.name for path in run.iterdir()) == [
        ".lock",
        "checkpoints",
        "command.json",
        "config.yaml",
        "curves.png",
        "events.jsonl",
        "metrics.json",
        "model",
        "rows.jsonl",
    ]
    assert configuration.load(run / "config.yaml", TrainConfig) == finished
    assert len(list_checkpoints(run / "checkpoints")) == finished.keep_checkpoints
    verify_manifest(run / "model")
    with Image.open(run / "curves.png") as image:
        assert (image.format, image.size) == ("PNG", (1200, 480))
    assert read_rows(run) == []


def test_the_events_tell_the_run_in_its_order(finished: TrainConfig) -> None:
    told = [(event["kind"], event.get("step")) for event in events_of(Path(finished.output))]
    first = [("stage", 0), *(("step", n) for n in (1, 2, 3, 4)), ("validation", 4)]
    first += [("step", 5), ("step", 6), ("validation", 6)]
    second = [("stage", 6), ("step", 7), ("step", 8), ("step", 9), ("validation", 9)]
    assert told == [("started", None), *first, *second, ("finished", 9)]


def test_the_metrics_are_those_of_the_last_validation(finished: TrainConfig) -> None:
    run = Path(finished.output)
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["steps"], metrics["num_train_pairs"], metrics["num_multimodal_pairs"]) == (
        9,
        15,
        10,
    )
    last = events_of(run, "validation")[-1]
    assert metrics["validation"] == {key: last[key] for key in ("step", "overall", "tasks")}
    tasks = metrics["validation"]["tasks"]
    assert {name: result["num_pairs"] for name, result in tasks.items()} == {"colour": 4, "sum": 1}


def test_the_model_remembers_how_its_rewards_lie(finished: TrainConfig) -> None:
    settings = json.loads((Path(finished.output) / "model" / "vlreward.json").read_text())
    assert settings["max_length"] == 256
    assert settings["max_pixels"] == 56 * 84
    assert settings["reward_std"] > 0


def test_a_finished_run_started_again_changes_nothing(finished: TrainConfig) -> None:
    run = Path(finished.output)

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}

    before = state()
    train(finished)
    assert state() == before


def test_a_finished_run_that_lost_its_model_writes_it_again(
    finished: TrainConfig, tmp_path: Path
) -> None:
    config = tiny_config(tmp_path)
    run = Path(config.output)
    shutil.copytree(finished.output, run)
    (run / "config.yaml").unlink()
    shutil.rmtree(run / "model")
    train(config)
    for name in ("model.safetensors", "value_head.safetensors", "vlreward.json"):
        again, before = run / "model" / name, Path(finished.output) / "model" / name
        assert again.read_bytes() == before.read_bytes()


def test_another_configuration_in_the_same_folder_is_refused_by_key(finished: TrainConfig) -> None:
    with pytest.raises(ConfigError, match=r"stages\.0\.epochs is 2, not 3") as refused:
        train(replace(finished, stages=(replace(TWO_STAGES[0], epochs=3), TWO_STAGES[1])))
    assert refused.value.exit_code == 2


def test_progress_is_told_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [*map(drawn_row, range(30)), text_row(0, chosen=" ")]
    config = with_rows(tiny_config(tmp_path), *rows)
    train(config)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "30 pairs to train on (30 with pictures), 0 to validate on.",
        f"Rows refused: 1, truncated: 0; {config.output}/rows.jsonl lists them.",
        "Stage once: 30 pairs, 1 steps of 64.",
    ]


def test_refused_and_truncated_rows_are_listed_and_harm_no_other(tmp_path: Path) -> None:
    good = [drawn_row(index) for index in range(10)]
    bad = [
        drawn_row(20, images=["nowhere.png"]),
        drawn_row(21, chosen=""),
        drawn_row(22, prompt="<image> and <image>"),
        text_row(23, prompt="word " * 300),
    ]
    long = text_row(24, chosen="word " * 300)
    mixed = with_rows(tiny_config(tmp_path / "mixed"), *good[:5], *bad, long, *good[5:])
    clean = with_rows(tiny_config(tmp_path / "clean"), *good[:5], long, *good[5:])
    train(replace(mixed, max_refused_share=0.5))
    train(replace(clean, max_refused_share=0.5))

    run = Path(mixed.output)
    listed = read_rows(run)
    refused = {row["row"].split("other.jsonl:")[1].split(" ")[0].strip(","): row for row in listed}
    assert [(row["what"], row.get("code")) for row in listed] == [
        ("refused", "picture-missing"),
        ("refused", "answer-empty"),
        ("refused", "markers-mismatch"),
        ("refused", "row-too-long"),
        ("truncated", None),
    ]
    assert list(refused) == ["6", "7", "8", "9", "10"]
    assert events_of(run, "step") == events_of(Path(clean.output), "step")


def test_truncated_validation_rows_are_listed_too(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, stages=ONE_STEP)
    long = text_row(124, chosen="word " * 300)
    held_out = write_rows(tmp_path / "data" / "long.jsonl", drawn_row(30), long)
    train(replace(config, validation=(SourceConfig(path=str(held_out)),)))
    [row] = read_rows(Path(config.output))
    assert row["what"] == "truncated" and "long.jsonl:2" in row["row"]


def test_too_many_refused_rows_stop_the_run_before_it_trains(tmp_path: Path) -> None:
    rows = [*map(drawn_row, range(9)), drawn_row(20, images=["nowhere.png"])]
    config = with_rows(tiny_config(tmp_path), *rows)
    with pytest.raises(DataError, match=r"1 of 10 rows refused.*picture-missing") as refused:
        train(config)
    assert refused.value.exit_code == 3
    assert "rows.jsonl" in refused.value.place
    assert len(read_rows(Path(config.output))) == 1
    assert not (Path(config.output) / "checkpoints").exists()


def test_a_run_that_could_not_begin_may_be_mended_in_the_same_folder(tmp_path: Path) -> None:
    rows = [*map(drawn_row, range(9)), drawn_row(20, images=["nowhere.png"])]
    config = with_rows(tiny_config(tmp_path), *rows)
    with pytest.raises(DataError, match="or raise max_refused_share"):
        train(config)
    train(replace(config, max_refused_share=0.2))
    assert len(events_of(Path(config.output), "step")) == 1


def test_a_signal_while_pairs_are_read_ends_the_run_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_rows(tiny_config(tmp_path), *map(drawn_row, range(6)))
    monkeypatch.setattr("vlreward.training.run.Progress", interrupted_at("Reading pairs"))
    with pytest.raises(Interrupted, match="SIGTERM"):
        train(config)
    assert not (Path(config.output) / "events.jsonl").exists()
    monkeypatch.undo()
    train(config)
    assert len(events_of(Path(config.output), "step")) == 1


def test_a_run_whose_data_has_changed_is_not_resumed(tmp_path: Path) -> None:
    config = replace(tiny_config(tmp_path), save_every_steps=1)
    with pytest.raises(Interrupted):
        train(config, clock=DeadlyClock(at_call=4, signal_number=signal.SIGTERM))
    file = Path(config.data[0].path)
    rows = file.read_text()
    file.write_text("\n".join(rows.splitlines()[1:]) + "\n")
    with pytest.raises(DataError, match=r"num_train_pairs 14.*run-data-differs"):
        train(config)
    file.write_text(rows)
    train(config)
    assert events_of(Path(config.output), "finished")


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    with only_writer(Path(config.output)), pytest.raises(ConfigError, match="run-busy"):
        train(config)
    assert not (Path(config.output) / "config.yaml").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="folder-not-a-run"):
        train(config)
    assert [path.name for path in (tmp_path / "run").rglob("*")] == ["model", "mine.txt"]


def test_a_run_that_could_not_begin_leaves_no_folder(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, model=ModelConfig(path="./nowhere"))
    with pytest.raises(CheckpointError):
        train(config)
    assert not Path(config.output).exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="output-not-writable"):
        train(replace(config, output=str(tmp_path / "file" / "run")))


def test_a_signal_during_validation_is_obeyed_and_costs_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_config(tmp_path), save_every_steps=1000)
    last_step = replace(config, output=str(tmp_path / "whole"))
    train(last_step)
    monkeypatch.setattr("vlreward.training.run.Progress", interrupted_at("Validating"))
    with pytest.raises(Interrupted, match="SIGTERM"):
        train(config)
    run = Path(config.output)
    assert events_of(run, "validation") == []
    monkeypatch.undo()
    train(config)
    assert [event["lost_steps"] for event in events_of(run, "resumed")] == [0]
    whole = Path(last_step.output)
    assert events_of(run, "validation") == events_of(whole, "validation")
    assert events_of(run, "step") == events_of(whole, "step")


def test_curves_for_tensorboard_hold_each_step_once_after_a_resume(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(tiny_config(tmp_path), trackers=("tensorboard",))
    with pytest.raises(Interrupted):
        train(config, clock=DeadlyClock(at_call=5, signal_number=signal.SIGTERM))
    train(config)
    run = Path(config.output)
    found = EventAccumulator(str(run / "tensorboard")).Reload()
    steps = events_of(run, "step")
    assert len(events_of(run, "resumed")) == 1
    assert [one.step for one in found.Scalars("train/loss")] == [one["step"] for one in steps]
    losses = [one.value for one in found.Scalars("train/loss")]
    assert losses == pytest.approx([one["loss"] for one in steps])
    assert "validation/accuracy" in found.Tags()["scalars"]
    assert all(one.value > 0.01 for one in found.Scalars("speed/peak_gib"))
    assert all(one.value > 0 for one in found.Scalars("speed/tokens_per_second"))


def test_a_missing_extra_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tracker, extra in (("tensorboard", "track"), ("trackio", "trackio"), ("wandb", "wandb")):
        monkeypatch.setitem(sys.modules, tracker, None)
        config = replace(tiny_config(tmp_path), trackers=(tracker,))
        with pytest.raises(MissingExtraError, match=rf"pip install 'vlreward\[{extra}\]'"):
            train(config)
        assert not Path(config.output).exists()


@pytest.mark.parametrize("tracker", ["trackio", "wandb"])
def test_other_trackers_take_a_run_that_is_resumed(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they are installed: they are no part of the development tools."""
    library = pytest.importorskip(tracker)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    config = replace(tiny_config(tmp_path), trackers=(tracker,))
    with pytest.raises(Interrupted):
        train(config, clock=DeadlyClock(at_call=5, signal_number=signal.SIGTERM))
    train(config)
    if tracker == "trackio":
        assert len(list(library.Api().runs("vlreward"))) == 1
    else:
        assert len(list((Path(config.output) / "wandb").glob("offline-run-*"))) == 2


def test_a_validation_set_of_which_nothing_is_left_stops_the_run(tmp_path: Path) -> None:
    held_out = write_rows(tmp_path / "data" / "bad.jsonl", drawn_row(1, images=["nowhere.png"]))
    config = tiny_config(tmp_path, validation=(SourceConfig(path=str(held_out)),))
    with pytest.raises(DataError, match="all 1 validation rows refused"):
        train(config)


def test_a_later_stage_without_pairs_is_refused_before_the_first_one_trains(
    tmp_path: Path,
) -> None:
    stages = (*ONE_STEP, StageConfig(name="words", select="text", learning_rate=1e-3))
    config = replace(with_rows(tiny_config(tmp_path), *map(drawn_row, range(4))), stages=stages)
    with pytest.raises(DataError, match="stage words: no pair of 4 is text"):
        train(config)
    assert not (Path(config.output) / "checkpoints").exists()


def test_missing_data_is_found_before_a_folder_is_made(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, data=(SourceConfig(path=str(tmp_path / "nowhere.jsonl")),))
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        train(config)
    assert not Path(config.output).exists()


def test_a_loss_that_is_not_finite_ends_the_run_and_the_checkpoints_stay_sound(
    tmp_path: Path,
) -> None:
    # As float32 knows it, this margin is infinite.
    rows = [*map(drawn_row, range(5)), drawn_row(5, margin=1e300)]
    config = replace(
        with_rows(tiny_config(tmp_path), *rows),
        stages=(StageConfig(name="one by one", epochs=9, batch_size=1, learning_rate=1e-3),),
        objective=ObjectiveConfig(use_margin=True),
        save_every_steps=1,
    )
    run = Path(config.output)
    for _ in range(2):
        with pytest.raises(NonFiniteError, match="NaN or infinity in the loss") as stopped:
            train(config)
        assert stopped.value.exit_code == 6
    saved, skipped = load_newest(run / "checkpoints", like=nn.Linear(1, 1))
    assert saved is not None and skipped == []
    assert all(bool(torch.isfinite(tensor).all()) for tensor in saved.model.values())
    last = events_of(run)[-1]
    assert (last["kind"], last["code"]) == ("stopped", "loss-not-finite")
    assert stopped.value.place in last["why"]
    assert not (run / "model").exists()


def test_a_damaged_checkpoint_is_skipped_aloud_and_its_steps_run_again(
    finished: TrainConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    run = Path(config.output)
    shutil.copytree(finished.output, run)
    (run / "config.yaml").unlink()
    shutil.rmtree(run / "model")
    newest = list_checkpoints(run / "checkpoints")[-1]
    with (newest / "optimizer.safetensors").open("r+b") as file:
        file.truncate(100)
    train(config)
    said = capfd.readouterr().err
    assert f"Skipped a damaged checkpoint: {newest.name}: " in said
    assert "Resumed at step 8. Steps after it that were not saved run again: at least 1." in said
    weights = "model/model.safetensors"
    assert (run / weights).read_bytes() == (Path(finished.output) / weights).read_bytes()


def test_steps_that_were_not_logged_are_not_taken_for_lost(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, log_every_steps=4, validation=())
    clock = DeadlyClock(at_call=4, signal_number=signal.SIGTERM)
    with pytest.raises(Interrupted):
        train(replace(config, save_every_steps=3), clock=clock)
    train(replace(config, save_every_steps=3))
    run = Path(config.output)
    assert [step["step"] for step in events_of(run, "step")] == [4, 8]
    assert [event["lost_steps"] for event in events_of(run, "resumed")] == [0]


def test_tasks_may_be_called_like_the_fields_of_an_event(tmp_path: Path) -> None:
    names = ("step", "time", "number", "overall", "kind")
    held_out = write_rows(
        tmp_path / "data" / "named.jsonl",
        *(text_row(100 + index, task=name) for index, name in enumerate(names)),
    )
    config = tiny_config(tmp_path, stages=ONE_STEP)
    train(replace(config, validation=(SourceConfig(path=str(held_out)),)))
    [validation] = events_of(Path(config.output), "validation")
    assert sorted(validation["tasks"]) == sorted(names)
    assert validation["overall"]["num_pairs"] == len(names)


def test_a_validation_pair_that_is_trained_on_stops_the_run_before_it_trains(
    tmp_path: Path,
) -> None:
    config = tiny_config(tmp_path, stages=ONE_STEP)
    opposite = drawn_row(3)
    opposite |= {"chosen": opposite["rejected"], "rejected": opposite["chosen"]}
    held_out = write_rows(tmp_path / "data" / "leak.jsonl", drawn_row(31), opposite)
    with pytest.raises(DataError, match=r"leak\.jsonl:2.*one of 1 validation pairs, of 2"):
        train(replace(config, validation=(SourceConfig(path=str(held_out)),)))
    assert not (Path(config.output) / "checkpoints").exists()


def test_a_few_validation_pairs_that_are_trained_on_are_listed_and_not_measured(
    tmp_path: Path,
) -> None:
    config = tiny_config(tmp_path, stages=ONE_STEP, max_refused_share=0.5)
    held_out = write_rows(tmp_path / "data" / "leak.jsonl", drawn_row(31), drawn_row(3))
    train(replace(config, validation=(SourceConfig(path=str(held_out)),)))
    [refusal] = read_rows(Path(config.output))
    assert refusal["code"] == "validation-in-training" and "leak.jsonl:2" in refusal["row"]
    [validation] = events_of(Path(config.output), "validation")
    assert validation["overall"]["num_pairs"] == 1


def test_flex_attention_is_refused_where_nothing_can_train_it(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    config = replace(config, model=replace(config.model, attention="flex"))
    with pytest.raises(ConfigError, match=r"attention-needs-gpu") as caught:
        train(config)
    assert "flex on cpu" in str(caught.value) and not Path(config.output).exists()


def test_a_run_may_keep_to_deterministic_kernels(finished: TrainConfig, tmp_path: Path) -> None:
    config = replace(tiny_config(tmp_path), deterministic=True)
    train(config)
    assert not torch.are_deterministic_algorithms_enabled()
    plain, kept = (final_tensors(Path(one.output)) for one in (finished, config))
    assert plain.keys() == kept.keys()
    assert all(torch.equal(plain[name], kept[name]) for name in plain)
