"""A run folder: configuration and command first, events one by one, never two runs in one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vlreward import __version__
from vlreward.errors import ConfigError, DataError
from vlreward.runs import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """How weights move."""

    learning_rate: float = 1e-5
    """Our choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A run."""

    seed: int = 0
    optimizer: Optimizer = field(default_factory=Optimizer)


def ticking(start: float = 100.0) -> Callable[[], float]:
    return itertools.count(start).__next__


def start(path: Path, *, config: object = Config(), command: tuple[str, ...] = ()) -> RunFolder:
    return RunFolder.create(path, config=config, command=command, clock=ticking())


def test_configuration_and_command_are_there_first(tmp_path: Path) -> None:
    run = start(tmp_path / "run", command=("vlreward", "train", "--seed", "0"))
    assert sorted(path.name for path in run.path.iterdir()) == ["command.json", "config.yaml"]
    assert "  # Our choice.\n  learning_rate: 1e-05\n" in run.config_path.read_text()
    command = json.loads(run.command_path.read_text())
    assert command["command"] == ["vlreward", "train", "--seed", "0"]
    assert command["version"] == __version__
    assert command["started"] == 100.0
    assert command["packages"]["pydantic"]
    assert run.load_config(Config) == Config()


def test_the_same_configuration_uses_the_folder_again(tmp_path: Path) -> None:
    first = start(tmp_path, command=("one",))
    start(tmp_path, command=("two",))
    assert json.loads(first.command_path.read_text())["command"] == ["one"]


def test_another_configuration_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    start(tmp_path)
    other = Config(seed=3, optimizer=Optimizer(learning_rate=2e-6))
    with pytest.raises(ConfigError) as caught:
        start(tmp_path, config=other)
    assert caught.value.code == "run-differs"
    assert caught.value.value == "seed is 0, not 3; optimizer.learning_rate is 1e-05, not 2e-06"
    assert caught.value.place == str(tmp_path / "config.yaml")
    assert RunFolder.open(tmp_path, clock=ticking()).load_config(Config) == Config()


def test_keys_that_may_change_are_written_anew_and_noted(tmp_path: Path) -> None:
    def begin(config: Config) -> RunFolder:
        return RunFolder.create(
            tmp_path, config=config, command=(), clock=ticking(), free={"learning_rate"}
        )

    begin(Config())
    run = begin(Config(optimizer=Optimizer(learning_rate=2e-6)))
    assert run.load_config(Config).optimizer.learning_rate == 2e-6
    [event] = run.read_events()
    assert event.kind == "config-changed"
    assert event.fields == {"changes": {"optimizer.learning_rate": [1e-5, 2e-6]}}
    begin(Config(optimizer=Optimizer(learning_rate=2e-6)))
    assert len(run.read_events()) == 1
    with pytest.raises(ConfigError, match=r"seed is 0, not 3; expected"):
        begin(Config(seed=3))


def test_many_differences_are_counted(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Wide:
        """Many keys."""

        a: int = 0
        b: int = 0
        c: int = 0
        d: int = 0
        e: int = 0

    start(tmp_path, config=Wide())
    with pytest.raises(ConfigError, match="c is 0, not 1; and 2 more"):
        start(tmp_path, config=Wide(a=1, b=1, c=1, d=1, e=1))


def test_a_run_that_is_withdrawn_leaves_nothing(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.append_event("tried")
    run.withdraw()
    assert [*tmp_path.iterdir()] == []


def test_a_kill_between_configuration_and_command_is_mended(tmp_path: Path) -> None:
    start(tmp_path).command_path.unlink()
    assert start(tmp_path).command_path.exists()


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (("--api-key", "sk-1"), ["--api-key", "***"]),
        (("--judge.api_key=sk-1",), ["--judge.api_key=***"]),
        (("--token=a\nb",), ["--token=***"]),
        (("--password", "--verbose"), ["--password", "--verbose"]),
        (
            ("--judge.api-key-variable", "OPENAI_API_KEY"),
            ["--judge.api-key-variable", "OPENAI_API_KEY"],
        ),
        (("--max-tokens", "5"), ["--max-tokens", "5"]),
    ],
)
def test_secrets_on_the_command_line_are_masked(
    tmp_path: Path, command: tuple[str, ...], written: list[str]
) -> None:
    run = start(tmp_path, command=command)
    assert json.loads(run.command_path.read_text())["command"] == written


def test_opening_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run-missing"):
        RunFolder.open(tmp_path, clock=ticking())


def test_events_carry_number_time_kind_and_fields(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.append_event("step", step=1, loss=0.5)
    run.append_event("saved", path=Path("a/b"), names=("é", None))
    first, second = run.read_events()
    assert (first.number, first.time, first.kind) == (0, 101.0, "step")
    assert first.fields == {"step": 1, "loss": 0.5}
    assert (second.number, second.time, second.kind) == (1, 102.0, "saved")
    assert second.fields == {"path": "a/b", "names": ["é", None]}


def test_a_new_run_has_no_events(tmp_path: Path) -> None:
    assert start(tmp_path).read_events() == []


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    start(tmp_path).append_event("one")
    RunFolder.open(tmp_path, clock=ticking()).append_event("two")
    start(tmp_path).append_event("three")
    assert [event.number for event in start(tmp_path).read_events()] == [0, 1, 2]


@pytest.mark.parametrize("length", range(1, 12))
def test_a_torn_last_line_does_not_count_and_is_cut_off_by_the_next_start(
    tmp_path: Path, length: int
) -> None:
    run = start(tmp_path)
    run.append_event("one")
    whole = run.events_path.read_bytes()
    run.events_path.write_bytes(whole + b'{"number": 1, "time": 1}'[:length])
    assert [event.kind for event in run.read_events()] == ["one"]
    again = start(tmp_path)
    again.append_event("two")
    assert [(event.number, event.kind) for event in again.read_events()] == [(0, "one"), (1, "two")]


def test_a_line_without_its_line_break_is_torn_even_if_it_reads_well(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.append_event("one")
    run.append_event("two")
    run.events_path.write_bytes(run.events_path.read_bytes()[:-1])
    assert [event.kind for event in run.read_events()] == ["one"]


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b"\xff", b'{"number": "x", "time": 1, "kind": ""}']
)
def test_a_broken_line_within_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    run = start(tmp_path)
    run.append_event("one")
    with run.events_path.open("ab") as file:
        file.write(line + b"\n")
    run.append_event("two")
    with pytest.raises(DataError) as caught:
        run.read_events()
    assert caught.value.place == f"{run.events_path}:2"


def test_numbers_that_json_lacks_are_written_as_texts(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.append_event("step", losses=[float("nan"), 1.0], worst={"loss": float("-inf")})
    [event] = run.read_events()
    assert event.fields == {"losses": ["nan", 1.0], "worst": {"loss": "-inf"}}
    json.loads(run.events_path.read_text(), parse_constant=pytest.fail)


def test_rewinding_drops_later_steps_and_keeps_the_rest(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.append_event("started")
    for step in (1, 2, 3):
        run.append_event("step", step=step)
    run.append_event("stopped")
    run.rewind_events(step=2)
    kept = [(event.kind, event.fields.get("step")) for event in run.read_events()]
    assert kept == [("started", None), ("step", 1), ("step", 2), ("stopped", None)]
    run.append_event("step", step=3)
    numbers = [event.number for event in run.read_events()]
    assert numbers == sorted(set(numbers))


def test_a_field_may_not_take_the_place_of_number_or_time(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        start(tmp_path).append_event("step", time=3)
