"""Outcomes on disk: nothing is lost, whenever a run ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.evaluation.making import example, outcome, scored, voted
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.outcome_files import OutcomeLog, read_outcomes, write_outcomes
from vlreward.evaluation.outcomes import outcome_of

ABOUT = {"benchmark": "pairs", "scorer": "one", "limit": None}
EXAMPLES = [example(f"row {number}") for number in range(10)]


def open_log(folder, **settings):
    return OutcomeLog(folder, about=ABOUT, **settings)


def result_of(row, value=1.0):
    return outcome_of(row, scores=(value, 0.0))


def test_outcomes_come_back_from_parquet_as_they_were(tmp_path):
    given = [
        scored("a", 0.1, 1 / 3, seconds=0.25),
        scored("b", 3.0, 2.0, 1.0, right=()),
        voted("c", [0, None, "no verdict"], dollars=0.001),
        outcome("d", failure="picture-missing"),
    ]
    write_outcomes(given, tmp_path / "o.parquet")
    assert read_outcomes(tmp_path / "o.parquet") == given


def test_outcomes_from_before_truncated_responses_were_counted_are_read(tmp_path):
    import pyarrow.parquet as pq

    given = [scored("a", 2.0, 1.0)]
    write_outcomes(given, tmp_path / "o.parquet")
    older = pq.read_table(tmp_path / "o.parquet").drop_columns(["num_truncated"])
    pq.write_table(older, tmp_path / "older.parquet")
    assert read_outcomes(tmp_path / "older.parquet") == given

    with open_log(tmp_path) as log:
        log.add(result_of(EXAMPLES[0]))
    tail = tmp_path / "tail.jsonl"
    rows = [json.loads(line) for line in tail.read_text().splitlines()]
    for row in rows:
        del row["num_truncated"]
    tail.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open_log(tmp_path) as log:
        assert log.outcomes == {"row 0": result_of(EXAMPLES[0])}


def test_the_file_says_winner_tie_margin_and_correct_to_who_opens_it(tmp_path):
    import pyarrow.parquet as pq

    given = [scored("a", 2.0, 1.0), scored("b", 1.0, 1.0), voted("c", [1])]
    write_outcomes(given, tmp_path / "o.parquet")
    columns = ["winner", "tie", "margin", "correct"]
    assert pq.read_table(tmp_path / "o.parquet", columns=columns).to_pydict() == {
        "winner": [0, None, 1],
        "tie": [False, True, False],
        "margin": [1.0, 0.0, None],
        "correct": [True, False, None],
    }


def test_a_resumed_log_knows_what_is_done_and_finishes_in_the_order_of_the_rows(tmp_path):
    with open_log(tmp_path, rows_a_part=3) as log:
        for row in EXAMPLES[7::-1]:
            log.add(result_of(row))
    with open_log(tmp_path) as log:
        assert log.remaining(EXAMPLES) == EXAMPLES[8:]
        for row in log.remaining(EXAMPLES):
            log.add(result_of(row))
        path = log.finish(EXAMPLES)
    assert read_outcomes(path) == [result_of(row) for row in EXAMPLES]


def test_a_failure_is_tried_again_and_the_later_outcome_holds(tmp_path):
    with open_log(tmp_path) as log:
        log.add(outcome_of(EXAMPLES[0], failure="endpoint-gone"))
    with open_log(tmp_path) as log:
        assert log.remaining(EXAMPLES[:1]) == EXAMPLES[:1]
        assert log.remaining(EXAMPLES[:1], retries=lambda code: code != "endpoint-gone") == []
        log.add(result_of(EXAMPLES[0]))
    with open_log(tmp_path) as log:
        assert log.outcomes == {"row 0": result_of(EXAMPLES[0])}


def test_a_line_torn_by_a_power_cut_costs_its_row_alone(tmp_path):
    with open_log(tmp_path) as log:
        for row in EXAMPLES[:2]:
            log.add(result_of(row))
        torn = (tmp_path / "tail.jsonl").read_bytes()[:-20]
    for part in tmp_path.glob("part-*"):
        part.unlink()
    (tmp_path / "tail.jsonl").write_bytes(torn)
    with open_log(tmp_path) as log:
        assert log.remaining(EXAMPLES[:2]) == EXAMPLES[1:2]
        log.add(result_of(EXAMPLES[1]))
    with open_log(tmp_path) as log:
        assert log.remaining(EXAMPLES[:2]) == []


def test_rows_both_in_a_part_and_in_the_tail_count_once(tmp_path):
    with open_log(tmp_path) as log:
        log.add(result_of(EXAMPLES[0]))
        tail = (tmp_path / "tail.jsonl").read_bytes()
    (tmp_path / "tail.jsonl").write_bytes(tail)
    with open_log(tmp_path) as log:
        assert list(log.outcomes) == ["row 0"]


def test_an_error_in_the_run_keeps_what_came_before_it(tmp_path):
    with pytest.raises(RuntimeError), open_log(tmp_path) as log:
        log.add(result_of(EXAMPLES[0]))
        raise RuntimeError
    with open_log(tmp_path) as log:
        assert list(log.outcomes) == ["row 0"]


def test_a_folder_of_another_evaluation_is_refused(tmp_path):
    with open_log(tmp_path):
        pass
    with pytest.raises(ConfigError, match="scorer was 'one', is 'other'"):
        OutcomeLog(tmp_path, about={**ABOUT, "scorer": "other"}).__enter__()


def test_one_process_writes_at_a_time(tmp_path):
    with open_log(tmp_path), pytest.raises(ConfigError) as caught, open_log(tmp_path):
        pass
    assert caught.value.code == "outcomes-busy"
    with open_log(tmp_path):
        pass


def test_data_that_changed_under_a_run_is_refused(tmp_path):
    with open_log(tmp_path) as log:
        log.add(result_of(EXAMPLES[0]))
        with pytest.raises(DataError, match="row 0"):
            log.remaining([replace(EXAMPLES[0], right=(1,))])


@pytest.mark.parametrize("name", ["about.json", "part-00000.parquet", "tail.jsonl"])
def test_damaged_files_are_named(tmp_path, name):
    with open_log(tmp_path) as log:
        log.add(result_of(EXAMPLES[0]))
    (tmp_path / name).write_bytes(b"[]\n")
    with pytest.raises(DataError) as caught, open_log(tmp_path):
        pass
    assert caught.value.code == "outcomes-damaged" and name in caught.value.place


WRITER = """
import sys
from pathlib import Path
from vlreward.evaluation.examples import Example
from vlreward.evaluation.outcome_files import OutcomeLog
from vlreward.evaluation.outcomes import outcome_of
from vlreward.records import Message, Prompt, Response

answers = (Response(content=("yes",)), Response(content=("no",)))
prompt = Prompt(messages=(Message(role="user", content=("Well?",)),))
rows = [
    Example(id=f"row {n}", group="", subset="", cluster="", prompt=prompt, responses=answers,
            right=(0,))
    for n in range(200)
]
with OutcomeLog(Path(sys.argv[1]), about={}, rows_a_part=20) as log:
    for row in log.remaining(rows):
        log.add(outcome_of(row, scores=(1.0, 0.0)))
        print(row.id, flush=True)
    log.finish(rows)
"""


@pytest.mark.parametrize("kills", [1, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_at_any_moment_no_row_is_lost_and_none_is_done_twice(tmp_path, kills):
    generator = random.Random(0)
    done: list[str] = []
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(generator.randint(1, 30)):
            line = process.stdout.readline()
            if line:
                done.append(line.strip())
        os.kill(process.pid, signal.SIGKILL)
        done += process.stdout.read().split("\n")[:-1]
        process.wait()
        process.stdout.close()
    last = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path)], capture_output=True, text=True, check=True
    )
    done += last.stdout.split("\n")[:-1]
    found = read_outcomes(tmp_path / "outcomes.parquet")
    rows = [f"row {number}" for number in range(200)]
    assert [one.id for one in found] == rows
    assert len(done) == len(set(done))
    assert len(set(rows) - set(done)) <= kills, "a kill hides at most the line of one row"
