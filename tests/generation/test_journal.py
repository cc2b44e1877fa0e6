import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generation.making import journal_at
from vlreward.errors import ConfigError, DataError
from vlreward.generation.journal import Asked, Means, Money, ReplyJournal
from vlreward.generation.outcomes import Failure, Reply

REPLY = Reply(
    text="a\x00b é\n",
    finish_reason="length",
    model="m-2026",
    input_tokens=10,
    output_tokens=4,
    dollars=0.5,
    attempts=3,
    seconds=2.5,
    time=1_800_000_000.25,
    reasoning="so",
)
FAILURE = Failure(reason="refusal", detail="no", attempts=1, dollars=0.25, time=1.5)


def asked(key="k", *, expected=8, kind="test"):
    return Asked(key=key, kind=kind, model="m", expected_input_tokens=expected)


def test_what_was_recorded_is_found_again_by_another_process_with_every_field(tmp_path):
    bare = Reply(text="x", finish_reason="", model="")
    with journal_at(tmp_path) as journal:
        for key, result in (("r", REPLY), ("f", FAILURE), ("b", bare)):
            journal.record(asked(key), result)
    with journal_at(tmp_path) as journal:
        assert [journal.find(key) for key in ("r", "f", "b", "?")] == [REPLY, FAILURE, bare, None]
        assert journal.count() == 3


def test_what_was_recorded_first_stays(tmp_path):
    with journal_at(tmp_path) as journal:
        journal.record(asked(), REPLY)
        journal.record(asked(), Reply(text="other", finish_reason="stop", model="m"))
        assert journal.find("k") == REPLY


def test_a_call_counts_as_money_that_may_be_gone_until_it_is_settled(tmp_path):
    with journal_at(tmp_path) as journal:
        first, second, _ = (journal.sending(key, dollars=2.0) for key in "abc")
        assert journal.money() == Money(0, 6)
        journal.record(asked("a"), REPLY, send=first)
        journal.not_billed(second)
    with journal_at(tmp_path) as journal:
        assert journal.money() == Money(0.5, 2)
        assert journal.money().total == 2.5


def test_replies_are_flushed_to_the_disk_also_after_a_note_that_failed(tmp_path):
    statements = []
    with journal_at(tmp_path) as journal:
        journal._database.set_trace_callback(statements.append)
        with pytest.raises(DataError, match="journal-unusable"):
            journal.sending("a", dollars=None)
        journal.record(asked(), REPLY)
    pragmas = [one for one in statements if "synchronous" in one]
    assert pragmas == ["PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL"]


def test_means_are_of_one_kind_of_prompt_and_of_counted_replies(tmp_path):
    with journal_at(tmp_path) as journal:
        assert journal.means(kind="test", model="m") is None
        for number, tokens in enumerate((10, 30, None)):
            reply = Reply(
                text="x",
                finish_reason="stop",
                model="other name",
                input_tokens=tokens,
                output_tokens=tokens,
                seconds=number,
            )
            journal.record(asked(str(number), expected=16), reply)
        journal.record(asked("other", kind="describe"), REPLY)
        assert journal.means(kind="test", model="m") == Means(2, 20.0, 40 / 32, 0.5)


def test_forgotten_failures_are_asked_again_and_their_cost_stays_counted(tmp_path):
    with journal_at(tmp_path) as journal:
        journal.record(asked("f"), FAILURE)
        journal.record(asked("t"), Failure(reason="timeout", detail="late"))
        journal.record(asked("r"), REPLY)
        assert journal.forget_failures(["refusal", "empty"]) == 1
        assert journal.find("f") is None
        assert journal.find("t") is not None
        assert journal.find("r") == REPLY
        assert journal.money().total == 0.75


def test_one_process_holds_the_journal_at_a_time(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from vlreward.errors import ConfigError\n"
        "from vlreward.generation.journal import ReplyJournal\n"
        "try: ReplyJournal(Path(sys.argv[1]))\n"
        "except ConfigError as error: print(error.code)"
    )
    with journal_at(tmp_path) as journal:
        done = subprocess.run(
            [sys.executable, "-c", program, str(journal.path)],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        )
        with pytest.raises(ConfigError, match="journal-busy"):
            ReplyJournal(journal.path)
        journal.record(asked(), REPLY)
    assert done.stdout.strip() == "journal-busy"


def test_a_journal_of_a_later_version_is_refused_and_left_as_it_is(tmp_path):
    with journal_at(tmp_path) as journal:
        journal.record(asked(), REPLY)
    database = sqlite3.connect(journal.path)
    database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ConfigError, match="journal-newer"):
        ReplyJournal(journal.path)
    database = sqlite3.connect(journal.path)
    assert database.execute("PRAGMA user_version").fetchone() == (2,)
    database.close()


@pytest.mark.parametrize("what", ["text", "a folder", "another database", "damaged"])
def test_what_is_no_journal_is_refused_and_left_as_it_is(tmp_path, what):
    path = tmp_path / "replies.sqlite"
    if what == "text":
        path.write_text("dear diary, " * 200)
    elif what == "a folder":
        path.mkdir()
    elif what == "another database":
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE theirs (a)")
        database.close()
    else:
        with ReplyJournal(path) as journal:
            for number in range(200):
                journal.record(asked(str(number)), REPLY)
        data = bytearray(path.read_bytes())
        data[4096:-4096] = os.urandom(len(data) - 8192)
        path.write_bytes(data)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DataError, match="journal-unusable"), ReplyJournal(path) as journal:
        for number in range(200):
            journal.find(str(number))
    if what != "damaged":
        assert (path.read_bytes() if path.is_file() else None) == before


def test_a_journal_that_a_kill_left_half_made_is_made_whole(tmp_path):
    """The file exists, empty, before the first transaction has made the tables."""
    (tmp_path / "replies.sqlite").touch()
    with journal_at(tmp_path) as journal:
        journal.record(asked(), REPLY)
        assert journal.find("k") == REPLY


def test_no_recorded_reply_is_lost_to_kill_9_at_random_moments(tmp_path):
    rng = random.Random(5)
    path = tmp_path / "replies.sqlite"
    num_said = 0
    for _ in range(3):
        num_said += said_before_a_kill(path, num_lines=rng.randint(1, 60))
        with ReplyJournal(path) as journal:
            found = [journal.find(f"{number:064x}") for number in range(journal.count())]
            money = journal.money()
        assert len(found) >= num_said > 0
        for number, result in enumerate(found):
            said = result.text if isinstance(result, Reply) else result.detail
            assert said == f"text {number}"
        assert money.billed == pytest.approx(0.25 * len(found))
        assert money.maybe_billed <= 0.5 * 3


def said_before_a_kill(path: Path, *, num_lines: int) -> int:
    """Runs the journaling program, kills it after so many records; how many it said in all."""
    program = [sys.executable, "-m", "tests.generation.journaling", str(path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        for _ in range(num_lines):
            assert process.stdout.readline(), "the program ended by itself"
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().decode()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return num_lines + rest.count("\n")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
