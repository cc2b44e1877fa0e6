"""DropAmbiguous with a judge model, asked over HTTP: the miniature world's stand-in endpoint."""

import re
from dataclasses import replace

import pytest

from tests.curation.judging import bench, judge_at
from tests.curation.making import reasons
from tests.support.endpoint import pairs as world_pairs
from tests.support.endpoint import truth
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.mix import Mix
from vlreward.curation.pipeline import curate, rehearse
from vlreward.curation.working_set import read_in, rows_of
from vlreward.errors import ConfigError, EndpointError
from vlreward.generation.config import EndpointConfig
from vlreward.pictures import PictureStore, stored
from vlreward.progress import Progress
from vlreward.records import Judgment
from vlreward.world.endpoint.config import FaultRates, RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint

NUM_PAIRS = 60


@pytest.fixture
def rows(tmp_path):
    """Sixty pairs about truth; every third one swapped, every fifth with a judge's confidence."""
    store = PictureStore(tmp_path / "pictures")
    about_truth = [one.pair for one in world_pairs() if one.rejected == "wrong" and one.asked]
    made = []
    for number, pair in enumerate(about_truth[:: len(about_truth) // NUM_PAIRS][:NUM_PAIRS]):
        shown = stored(pair, store)
        shown = shown.swapped() if number % 3 == 0 else shown
        sure = 0.9 if number % 5 == 0 else None
        made.append(
            replace(
                shown,
                judgment=Judgment(kind="human", confidence=sure),
                origin=replace(shown.origin, place=str(number)),
            )
        )
    return made


def run(tmp_path, rows, endpoint, *, max_dollars=None, needs_replies=True, **settings):
    if not (tmp_path / "read").exists():
        read_in([("world", rows)], tmp_path / "read")
    step = DropAmbiguous(judge=judge_at(endpoint.base_url), **settings)
    calls = {"max_dollars": max_dollars, "needs_replies": needs_replies}
    with bench(tmp_path, **calls) as made, Progress() as progress:
        return curate(rows_of(tmp_path / "read"), steps=[step], bench=made, progress=progress)


def test_a_judge_whose_replies_cannot_be_read_drops_nothing_unless_one_goes_on(tmp_path, rows):
    config = WorldEndpointConfig(faults=FaultRates(refusal=1.0))
    with WorldEndpoint(truth(), config) as endpoint:
        with pytest.raises(EndpointError, match="no verdict on 48 of 48 rows") as caught:
            run(tmp_path, rows, endpoint)
        assert caught.value.code == "judge-unreadable"
        found = reasons(run(tmp_path, rows, endpoint, needs_replies=False).entries)
        assert set(endpoint.bill.answered.values()) == {1}
    assert len(found) == 48 and set(found.values()) == {"not-judged-refusal"}


def test_the_judge_finds_swapped_labels_in_rows_that_do_not_say_how_sure_they_are(tmp_path, rows):
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        found = reasons(run(tmp_path, rows, endpoint).entries)
        num_calls = sum(one.calls for one in endpoint.bill.models.values())
    asked = [number for number in range(NUM_PAIRS) if number % 5]
    assert found == {str(n): "judged-contradicted" for n in asked if n % 3 == 0}
    assert num_calls == 2 * len(asked)


def test_on_request_the_judge_is_asked_about_all(tmp_path, rows):
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        found = reasons(run(tmp_path, rows, endpoint, judge_all=True).entries)
    assert found == {str(n): "judged-contradicted" for n in range(0, NUM_PAIRS, 3)}


def test_a_judge_that_contradicts_itself_makes_rows_ambiguous(tmp_path, rows):
    config = WorldEndpointConfig(judge=RoleConfig(error_rate=0.5), judge_errors="call")
    with WorldEndpoint(truth(), config) as endpoint:
        found = reasons(run(tmp_path, rows, endpoint, min_confidence=0.0).entries)
    assert list(found.values()).count("judged-ambiguous") > 5


def test_under_faults_every_row_stays_or_goes_with_its_reason_and_nothing_is_paid_twice(
    tmp_path, rows
):
    faults = FaultRates(rate_limit=0.1, server_error=0.05, torn=0.05, refusal=0.05)
    with WorldEndpoint(
        truth(), WorldEndpointConfig(faults=faults, retry_after_seconds=0)
    ) as endpoint:
        first = run(tmp_path, rows, endpoint)
        (tmp_path / "work" / "01-drop-ambiguous" / "found.json").unlink()
        again = run(tmp_path, rows, endpoint)
        answered = endpoint.bill.answered
    assert again.entries == first.entries and set(answered.values()) == {1}
    kinds = set(reasons(first.entries).values())
    assert "judged-contradicted" in kinds
    assert kinds <= {"judged-contradicted", "not-judged-refusal"} and len(kinds) == 2


def test_the_cap_stops_the_run_and_a_larger_one_goes_on_where_it_was(tmp_path, rows):
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        with pytest.raises(ConfigError, match="run again with a larger") as caught:
            run(tmp_path, rows, endpoint, max_dollars=0.05)
        assert caught.value.code == "budget-spent"
        said = re.fullmatch(
            r"\$([0-9.]+) spent and \$([0-9.]+) to reserve for the next call are more than the cap "
            r"of \$0\.05",
            str(caught.value.value),
        )
        assert said is not None and float(said[1]) <= 0.05 < float(said[1]) + float(said[2])
        answered = sum(one.answered for one in endpoint.bill.models.values())
        assert 0 < answered < 96
        with bench(tmp_path) as made:
            assert made.calls.journal.money().total <= 0.05
        run(tmp_path, rows, endpoint, max_dollars=5.0)
        assert set(endpoint.bill.answered.values()) == {1}


def test_a_rehearsal_asks_nothing_and_says_what_it_would_take(tmp_path, rows):
    read_in([("world", rows)], tmp_path / "read")
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        step = DropAmbiguous(judge=judge_at(endpoint.base_url))
        with bench(tmp_path) as made, Progress() as progress:
            table = rows_of(tmp_path / "read")
            found = rehearse(table, steps=[step], bench=made, progress=progress)
        assert not endpoint.bill.answered
    assert found["drop-ambiguous"].num_calls == 96
    assert found["drop-ambiguous"].dollars > 0


def test_what_a_rehearsal_supposes_has_no_part_in_the_run(tmp_path, rows):
    read_in([("world", rows)], tmp_path / "read")
    table = rows_of(tmp_path / "read")
    found = []
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        steps = [DropAmbiguous(judge=judge_at(endpoint.base_url)), Mix(max_rows=10)]
        for name in ("fresh", "rehearsed"):
            with bench(tmp_path / name) as made, Progress() as progress:
                if name == "rehearsed":
                    rehearse(table, steps=steps, bench=made, progress=progress)
                    assert list(made.folder.iterdir()) == []
                found.append(curate(table, steps=steps, bench=made, progress=progress).entries)
    assert found[0] == found[1]


def test_a_key_that_is_not_there_is_named(tmp_path):
    endpoint = EndpointConfig(base_url="http://127.0.0.1:9/v1", model="m", api_key_env="NO_KEY")
    with bench(tmp_path) as made, pytest.raises(ConfigError, match="NO_KEY") as caught:
        made.connect(endpoint)
    assert caught.value.code == "key-missing"
