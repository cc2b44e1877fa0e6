"""`vlreward curate` with a judge over HTTP: the endpoint's bill against cap, estimate, ledger."""

import re
import shutil
from collections import Counter

import pytest

from tests.support.endpoint import pairs, truth
from tests.workflows.judging import (
    MIX,
    bill_id,
    judge_at,
    recipe,
    silent_rows,
    world_config,
    write_sources,
)
from vlreward import configuration
from vlreward.cli import run
from vlreward.curation import ledger
from vlreward.errors import ConfigError, EndpointError
from vlreward.generation.client import Connection
from vlreward.generation.journal import ReplyJournal
from vlreward.generation.outcomes import Failure
from vlreward.generation.verdicts import pair_requests
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import load_preferences
from vlreward.workflows.curate import curate_sets
from vlreward.world.endpoint.config import FaultRates
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.preferences import make_pairs

COMMAND = ["vlreward", "curate"]
LARGEST = 10_000
"""Bytes of a request's body; requests with a large picture get a 413."""


def charged(endpoint):
    """Dollars for all replies that were sent, torn ones too."""
    bill = endpoint.bill
    return bill.dollars + sum(one.torn_dollars for one in bill.models.values())


def outcomes(rows, *, judge, output):
    """What the journal knows of every request about the rows, by its name in the bill."""
    with ReplyJournal(output / "replies.sqlite") as journal:
        requests = pair_requests(rows, connection=Connection(endpoint=judge, journal=journal))
        known = {bill_id(one, endpoint=judge): journal.find(one.key) for one in requests}
    return {name: one for name, one in known.items() if one is not None}


def check_cap(tmp_path, *, rows, world, cap, faults):
    """Runs until the cap stops it; again, to no effect; and with a larger cap to the end."""
    sources = write_sources(tmp_path, rows)
    served = world_config(faults=faults, retry_after_seconds=0)
    with WorldEndpoint(world, served) as endpoint:
        judge = judge_at(endpoint.base_url, max_concurrency=64)
        config = recipe(sources, judge=judge, output=tmp_path / "run")
        for _ in range(2):
            with pytest.raises(ConfigError, match="budget-spent"):
                curate_sets(config, command=COMMAND, max_dollars=cap)
            spent = charged(endpoint)
            assert spent <= cap
        num_calls = endpoint.bill.models["world-judge"].calls
        curate_sets(config, command=COMMAND, max_dollars=100.0)
        assert charged(endpoint) > cap
        assert set(endpoint.bill.answered.values()) == {1}
        return spent, num_calls


@pytest.mark.parametrize("cap", [0.0, 0.015, 0.05])
def test_the_endpoints_bill_never_passes_the_cap_with_64_calls_at_once(tmp_path, cap):
    rows = silent_rows(pairs(), number=30)
    faults = FaultRates(rate_limit=0.1, torn=0.05)
    spent, num_calls = check_cap(tmp_path, rows=rows, world=truth(), cap=cap, faults=faults)
    assert (num_calls > 0) == (spent > 0) == (cap > 0)


@pytest.mark.slow
def test_the_bill_of_2000_calls_never_passes_a_cap_that_lets_64_out_at_once(tmp_path):
    known = list(make_pairs(num_pictures=500, seed=4, split="train"))
    rows = silent_rows(known, number=1000)
    faults = FaultRates(rate_limit=0.1, server_error=0.05, torn=0.01, refusal=0.01)
    spent, _ = check_cap(tmp_path, rows=rows, world=WorldTruth(known), cap=1.5, faults=faults)
    assert spent > 1.0


def foretold(capsys, config_path, *flags, code=0):
    """The calls and dollars that a dry run foretells, and all that it says."""
    capsys.readouterr()
    assert run(["curate", "--from", str(config_path), "--dry-run", *flags]) == code
    said = capsys.readouterr().out
    (found,) = re.findall(r"drop-ambiguous: (\d+) calls, .* \$([0-9.]+),", said)
    return int(found[0]), float(found[1]), said


def test_after_a_pilot_the_dry_run_foretells_the_bill_within_15_percent(tmp_path, capsys):
    rows = silent_rows(pairs(), number=150)
    sources = write_sources(tmp_path, rows)
    with WorldEndpoint(truth(), world_config()) as endpoint:
        judge = judge_at(endpoint.base_url)
        config = recipe(sources, judge=judge, output=tmp_path / "run")
        path = tmp_path / "config.yaml"
        path.write_text(configuration.to_yaml(config))
        num_all, _, said = foretold(capsys, path)
        assert not endpoint.bill.answered and "guess" in said
        with pytest.raises(ConfigError, match="budget-spent"):
            curate_sets(config, command=COMMAND, max_dollars=0.05)
        pilot = endpoint.bill.dollars
        num_calls, dollars, said = foretold(capsys, path)
        assert endpoint.bill.dollars == pilot and "guess" not in said
        assert 0 < num_calls < num_all
        curate_sets(config, command=COMMAND, max_dollars=100.0)
        assert len(endpoint.bill.answered) == num_all
        assert endpoint.bill.dollars - pilot == pytest.approx(dollars, rel=0.15)


def test_a_dry_run_says_what_all_steps_take_and_whether_the_money_will_do(tmp_path, capsys):
    sources = write_sources(tmp_path, silent_rows(pairs(), number=10))
    with WorldEndpoint(truth(), world_config()) as endpoint:
        judge = judge_at(endpoint.base_url)
        config = recipe(sources, judge=judge, output=tmp_path / "run")
        path = tmp_path / "config.yaml"
        path.write_text(configuration.to_yaml(config))
        num_calls, dollars, said = foretold(capsys, path)
        assert re.search(
            rf"^All together: {num_calls} calls, .* \${dollars:g}, ", said, re.MULTILINE
        )
        assert "max-dollars 1" not in said
        with pytest.raises(ConfigError, match="budget-spent"):
            curate_sets(config, command=COMMAND, max_dollars=dollars / 2)
        *_, enough = foretold(capsys, path, "--max-dollars", "100")[2].splitlines()
        assert re.fullmatch(r"--max-dollars 100, of which \$0\.\d+ are spent, will do .*", enough)
        short_of = ConfigError.exit_code
        *_, short = foretold(capsys, path, "--max-dollars", "0.001", code=short_of)[2].splitlines()
    missing = float(re.search(r"will not do: \$([0-9.]+) more are needed", short)[1])
    assert 0 < missing < 2 * dollars


def check_mix(tmp_path, *, rows, world, largest, **settings):
    sources = write_sources(tmp_path, rows)
    served = world_config(faults=MIX, retry_after_seconds=0, max_body_bytes=largest)
    with WorldEndpoint(world, served) as endpoint:
        judge = judge_at(endpoint.base_url, max_concurrency=64, **settings)
        config = recipe(sources, judge=judge, output=tmp_path / "run")
        folder = curate_sets(config, command=COMMAND)
        bill = endpoint.bill
    kept = load_preferences([SourceConfig(path=str(folder / "data"))])
    entries = ledger.read(folder / "ledger.parquet")
    assert not kept.refused
    assert len(kept.pairs) + len(entries) == len(rows) + len(rows[: len(rows) // 2 : 10])

    known = outcomes(rows, judge=judge, output=tmp_path / "run")
    failed = {name: one for name, one in known.items() if isinstance(one, Failure)}
    rejected = [one for one in failed.values() if one.reason == "rejected"]
    assert rejected and all(one.attempts == 1 for one in rejected), "a 4xx is never tried again"
    assert {one.reason for one in failed.values()} == {"rejected", "refusal"}
    attempts = sum(one.attempts for one in known.values()) - len(rejected)
    assert attempts == bill.models["world-judge"].calls, "nobody but us tries again"
    assert set(bill.answered.values()) == {1}
    return Counter(one.reason for one in entries), bill


def test_under_the_mix_of_faults_every_row_stays_or_is_in_the_ledger(tmp_path):
    rows = silent_rows(pairs(), number=120)
    reasons, bill = check_mix(
        tmp_path, rows=rows, world=truth(), largest=LARGEST, timeout_seconds=2.0
    )
    assert reasons["not-judged-rejected"] and reasons["not-judged-refusal"]
    assert bill.models["world-judge"].calls > len(bill.answered) > 150


@pytest.mark.slow
def test_under_the_mix_every_one_of_1500_rows_stays_or_is_in_the_ledger(tmp_path):
    known = list(make_pairs(num_pictures=700, seed=6, split="train"))
    rows = silent_rows(known, number=1500)
    check_mix(tmp_path, rows=rows, world=WorldTruth(known), largest=LARGEST, timeout_seconds=10.0)


LONG_PAUSE = {"faults": FaultRates(rate_limit=1.0), "retry_after_seconds": 3600}


def test_rows_to_which_the_endpoint_gave_no_reply_are_asked_about_by_the_next_start(tmp_path):
    rows = silent_rows(pairs(), number=3)
    sources = write_sources(tmp_path, rows)
    with WorldEndpoint(truth(), world_config(**LONG_PAUSE)) as down:
        config = recipe(sources, judge=judge_at(down.base_url), output=tmp_path / "run")
        with pytest.raises(EndpointError, match="6 requests without a reply: 6 rate-lim") as caught:
            curate_sets(config, command=COMMAND)
        assert caught.value.code == "endpoint-unanswered"
        assert down.bill.models["world-judge"].calls == 6 and not (tmp_path / "run/set").exists()
    with WorldEndpoint(truth(), world_config()) as up:
        config = recipe(sources, judge=judge_at(up.base_url), output=tmp_path / "run")
        folder = curate_sets(config, command=COMMAND)
        assert len(up.bill.answered) == 6
    reasons = Counter(one.reason for one in ledger.read(folder / "ledger.parquet"))
    assert not any(reason.startswith("not-judged") for reason in reasons)


def test_rows_without_a_reply_go_where_that_is_asked_for(tmp_path):
    rows = silent_rows(pairs(), number=3)
    sources = write_sources(tmp_path, rows)
    with WorldEndpoint(truth(), world_config(**LONG_PAUSE)) as endpoint:
        config = recipe(sources, judge=judge_at(endpoint.base_url), output=tmp_path / "run")
        path = tmp_path / "config.yaml"
        path.write_text(configuration.to_yaml(config))
        assert run(["curate", "--from", str(path), "--drop-unanswered"]) == 0
        assert endpoint.bill.models["world-judge"].calls == 6
    folder = tmp_path / "run" / "set"
    reasons = Counter(one.reason for one in ledger.read(folder / "ledger.parquet"))
    assert reasons == {"identical": 1, "not-judged-rate-limited": 3}


def test_after_dry_runs_a_folder_is_free_for_any_run(tmp_path, capsys):
    command = one_pair(tmp_path)
    for judge in ("openai:gpt-4o-mini", "openai:gpt-4o", "openai:gpt-4o"):
        assert run([*command, "--judge", judge, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("drop-ambiguous: 2 calls") == 3
    assert run(command) == 0
    stored = (tmp_path / "run" / "command.json").read_text()
    assert "--dry-run" not in stored and not (tmp_path / "run" / ".rehearsed").exists()
    assert run([*command, "--dry-run"]) == 0
    with pytest.raises(ConfigError, match="run-differs"):
        run([*command, "--judge", "openai:gpt-4o", "--dry-run"])


def test_a_dry_run_needs_no_key(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "Why?", "chosen": "So.", "rejected": "No."}\n')
    command = ["curate", "--data", str(data), "--judge", "openai:gpt-4o-mini"]
    assert run([*command, "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    assert "drop-ambiguous: 2 calls" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        run([*command, "--output", str(tmp_path / "run")])


def one_pair(folder):
    """A command that curates one pair in a new folder."""
    data = folder / "pairs.jsonl"
    data.write_text('{"prompt": "Why?", "chosen": "So.", "rejected": "No."}\n')
    return ["curate", "--data", str(data), "--output", str(folder / "run")]


REFUSED = [
    (["openai:gpt-4o-mini"], "key-missing", True),
    (["mine@https://example.org/v1#OPENAI_API_KEY", "--max-dollars", "1"], "price-unknown", False),
    (["openai:gpt-5-mini", "--max-dollars", "1"], "picture-tokens-unknown", False),
    (["openai:gpt-4o-mini", "--max-dollars", "-1"], "config-value", False),
]


@pytest.mark.parametrize("is_dry", [True, False])
@pytest.mark.parametrize(("flags", "code", "lacks_key"), REFUSED)
def test_a_model_that_cannot_be_asked_is_found_out_before_anything_is_read(
    tmp_path, capfd, monkeypatch, flags, code, lacks_key, is_dry
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    if lacks_key:
        monkeypatch.delenv("OPENAI_API_KEY")
    command = [*one_pair(tmp_path), "--judge", *flags, *(["--dry-run"] if is_dry else [])]
    if lacks_key and is_dry:
        assert run(command) == 0
        return
    with pytest.raises(ConfigError) as caught:
        run(command)
    assert caught.value.code == code
    assert "Read" not in capfd.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize("is_second", [False, True])
def test_an_endpoint_that_is_down_or_locked_is_found_out_before_anything_is_read(
    tmp_path, capfd, is_second
):
    command = [*one_pair(tmp_path), "--judge"]
    with WorldEndpoint(truth(), world_config(api_key="sk-world")) as endpoint:
        url = endpoint.base_url
        if is_second:
            assert run([*command, f"world-judge@{url}", "--dry-run"]) == 0
        with pytest.raises(EndpointError) as locked:
            run([*command, f"world-judge@{url}"])
    with pytest.raises(EndpointError) as down:
        run([*command, f"world-judge@{url}"])
    assert (locked.value.code, down.value.code) == ("endpoint-refused", "endpoint-down")
    assert locked.value.place == down.value.place == f"world-judge at {url}"
    if not is_second:
        assert "Read" not in capfd.readouterr().err and not (tmp_path / "run").exists()


def test_a_step_that_began_is_left_to_its_replies(tmp_path):
    sources = write_sources(tmp_path, silent_rows(pairs(), number=3))
    with WorldEndpoint(truth(), world_config()) as endpoint:
        config = recipe(sources, judge=judge_at(endpoint.base_url), output=tmp_path / "run")
        folder = curate_sets(config, command=COMMAND)
        assert endpoint.bill.models["world-judge"].calls == 6
    shutil.rmtree(folder)
    (tmp_path / "run" / "work" / "03-drop-ambiguous" / "found.json").unlink()
    assert curate_sets(config, command=COMMAND) == folder


def test_a_dry_run_says_what_pictures_it_only_guesses(tmp_path, capsys):
    command = [*one_pair(tmp_path), "--judge", "openai:gpt-5-mini", "--dry-run"]
    assert run(command) == 0
    assert "What gpt-5-mini bills a picture as is not known" in capsys.readouterr().out


def test_what_flags_cannot_say_is_set_in_the_file_that_they_write(tmp_path, capsys):
    command = [*one_pair(tmp_path), "--judge", "openai:gpt-5-mini"]
    path = tmp_path / "config.yaml"
    assert run([*command, "--write-config", str(path)]) == 0
    assert f"--from {path}" in capsys.readouterr().out and not (tmp_path / "run").exists()
    path.write_text(path.read_text().replace("tokens_per_picture: null", "tokens_per_picture: 9"))
    assert run(["curate", "--from", str(path), "--max-dollars", "1", "--dry-run"]) == 0
    assert "--max-dollars 1 will do" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="config-exists"):
        run([*command, "--write-config", str(path)])
