"""What a signal does to curation, and to work that keeps its results as they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.endpoint import pairs, truth
from tests.workflows.judging import judge_at, recipe, silent_rows, world_config, write_sources
from vlreward import cli, configuration
from vlreward.errors import Interrupted
from vlreward.training.loop import signals_noted
from vlreward.workflows.interruption import kept_at_signals
from vlreward.world.endpoint.config import FaultRates
from vlreward.world.endpoint.server import WorldEndpoint

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_work_and_says_what_is_kept(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    with (
        pytest.raises(Interrupted, match=f"here: {number.name};.* All is kept: run the same"),
        kept_at_signals("here", kept="All is kept"),
    ):
        signal.raise_signal(number)
    assert [signal.getsignal(one) for one in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_training_that_has_not_begun_ends_the_work_too(number: signal.Signals) -> None:
    with (
        pytest.raises(Interrupted, match=f"here: {number.name};"),
        kept_at_signals("here", kept="All is kept"),
        signals_noted(),
    ):
        signal.raise_signal(number)


def test_programs_that_end_by_themselves_are_left_alone() -> None:
    with pytest.raises(SystemExit, match="5"), kept_at_signals("here", kept="All is kept"):
        sys.exit(5)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    handlers: list[object] = []

    def work() -> None:
        with kept_at_signals("here", kept="All is kept"):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize("number", SIGNALS)
def test_curation_ends_with_75_at_a_signal_and_goes_on_at_another_port(
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows = silent_rows(pairs(), number=4)
    hangs = world_config(faults=FaultRates(hang=1.0))
    arguments = ["vlreward", "curate", "--from", str(tmp_path / "run.yaml")]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with WorldEndpoint(truth(), hangs) as endpoint:
        config = recipe(
            write_sources(tmp_path, rows),
            judge=judge_at(endpoint.base_url),
            output=tmp_path / "run",
        )
        (tmp_path / "run.yaml").write_text(configuration.to_yaml(config))
        ended = threading.Event()

        def send_when_asked() -> None:
            while not endpoint.bill.models["world-judge"].calls and not ended.wait(0.01):
                pass
            os.kill(os.getpid(), number)

        thread = threading.Thread(target=send_when_asked)
        thread.start()
        try:
            with pytest.raises(SystemExit, match="75"):
                cli.main()
        finally:
            ended.set()
            thread.join()
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith(f"vlreward: curation: {number.name};")
    assert "replies are kept: run the same command again" in said
    with WorldEndpoint(truth(), world_config()) as other:
        text = (tmp_path / "run.yaml").read_text().replace(endpoint.base_url, other.base_url)
        (tmp_path / "run.yaml").write_text(text)
        assert cli.run(arguments[1:]) == 0
    assert other.base_url in (tmp_path / "run" / "config.yaml").read_text()


BUSY = """
import os, signal, sys, time
import daft
from vlreward import cli

@daft.func
def wait(row: int) -> int:
    if row == 0:
        os.kill(os.getpid(), signal.SIGINT)
    ends = time.monotonic() + 1
    while time.monotonic() < ends:
        pass
    return row

def busy(arguments):
    rows = daft.from_pydict({"row": list(range(9))})
    return rows.select(wait(daft.col("row"))).count_rows()

cli._VERBS["busy"] = busy
sys.argv = ["vlreward", "busy"]
cli.main()
"""


def test_an_interrupt_amid_a_computation_of_dafts_aborts_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=False)
    assert (done.returncode, "Fatal" in done.stderr) == (130, False), done.stderr


TORCHLESS = """
import sys
from dataclasses import replace
from vlreward.curation.mix import Mix
from vlreward.recipes.curation import first_stage
from vlreward.workflows.curate import curate_sets

data, benchmark, output = sys.argv[1:]
config = first_stage(data=data, benchmarks=benchmark, output=output)
curate_sets(replace(config, steps=(*config.steps, Mix(max_rows=1))), command=[])
assert "torch" not in sys.modules
"""


def test_daft_is_given_nothing_for_which_it_imports_torch_and_swallows_interrupts(
    tmp_path: Path,
) -> None:
    row = '{"prompt": "%s?", "chosen": "So.", "rejected": "No."}\n'
    (tmp_path / "pairs.jsonl").write_text(row % "Why" + row % "What is a whale")
    (tmp_path / "asked.jsonl").write_text(row % "Is 7 a prime")
    words = [str(tmp_path / name) for name in ("pairs.jsonl", "asked.jsonl", "run")]
    done = subprocess.run(
        [sys.executable, "-c", TORCHLESS, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
