"""CompareReasoning over HTTP: the miniature world's stand-in endpoint plays all models."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.curation.comparing import (
    NOWHERE,
    added,
    decide,
    exhibit,
    lines,
    model,
    plan,
    run,
    side_of,
    simulated,
    step,
)
from tests.curation.judging import bench
from tests.support.endpoint import pairs as world_pairs
from tests.support.endpoint import truth
from vlreward import configuration
from vlreward.curation.annotation import DECISIONS, SIMULATED, TASKS
from vlreward.curation.compare_reasoning import CompareReasoning
from vlreward.curation.config import CurateConfig
from vlreward.curation.working_set import pairs_of, read_in, rows_of
from vlreward.errors import ConfigError, DataError, Waiting
from vlreward.generation.config import EndpointConfig
from vlreward.pictures import PictureStore, stored
from vlreward.recipes.curation import third_stage_steps
from vlreward.records import Response
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences
from vlreward.sources.write import write_parquet
from vlreward.workflows.curate import curate_sets
from vlreward.world.endpoint.config import FaultRates, RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint

NUM_PROMPTS = 30
ERRING = WorldEndpointConfig(vlm=RoleConfig(error_rate=0.4), reasoner=RoleConfig(error_rate=0.3))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A table of pairs about thirty prompts with pictures and some without, two rows to each."""
    folder = tmp_path_factory.mktemp("world")
    store = PictureStore(folder / "pictures")
    shown = list({one.pair.prompt: one.pair for one in world_pairs() if one.asked}.values())
    silent = [one.pair for one in world_pairs() if not one.asked][:5]
    chosen = shown[:: len(shown) // NUM_PROMPTS][:NUM_PROMPTS]
    made = [stored(one, store) for one in chosen] + silent
    more = [replace(one, rejected=Response(content=("No idea.",))) for one in made]
    read_in([("world", [*made, *more])], folder / "read")
    return folder / "read"


class Answered(NamedTuple):
    """A run that waits for people: its folder, the error that says so, and what it cost."""

    folder: Path
    error: Waiting
    calls: dict[str, int]
    dollars: float


@pytest.fixture(scope="module")
def waiting(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("answered")
    with WorldEndpoint(truth(), ERRING) as endpoint:
        with pytest.raises(Waiting) as caught:
            run(folder, rows, step(endpoint.base_url))
        calls = {name: one.calls for name, one in endpoint.bill.models.items()}
    with bench(folder) as made:
        dollars = made.calls.journal.money().billed
    return Answered(folder, caught.value, calls, dollars)


@pytest.fixture
def answered(waiting, tmp_path):
    """A copy of the waiting run: all answers are in its journal, so no endpoint is needed."""
    return shutil.copytree(waiting.folder, tmp_path / "run")


def test_the_run_waits_and_says_where_the_tasks_are_and_where_decisions_belong(waiting):
    folder, error, calls, _ = waiting
    number = len(lines(folder / "annotation" / TASKS))
    assert number > 10
    assert (error.code, error.exit_code) == ("waiting-for-annotators", 75)
    assert error.place == str(folder / "annotation" / DECISIONS)
    assert f"{number} of {number} tasks in {folder / 'annotation' / TASKS} are" in error.value
    assert '{"task": "its id", "annotator": "a name", "better": "A"}' in error.expected
    assert set(calls.values()) == {NUM_PROMPTS} and len(calls) == 4


def test_what_people_decided_becomes_pairs_and_nothing_is_asked_again(answered, rows):
    tasks = lines(answered / "annotation" / TASKS)
    decide(answered, lambda row, _: side_of(row, "two-step"))
    curated = run(answered, rows, step())
    made = added(curated)
    assert len(made) == len(tasks)
    for one in made:
        assert (one.judgment.kind, one.judgment.judge) == ("human", "1 annotator")
        assert (one.judgment.confidence, one.chosen.model) == (1.0, "world-reasoner")
        assert one.origin.task.endswith(": two-step over direct")
    read = {one.id: one for one in pairs_of(rows_of(rows))}
    assert all(read[one.origin.row_id].prompt == one.prompt for one in made)
    assert f"| direct against two-step | 0 | {len(made)} | 0 | 0 | 0.0% [0.0%, " in exhibit(curated)
    assert "simulated" not in exhibit(curated)


def test_as_long_as_one_task_lacks_a_vote_the_run_waits(answered, rows):
    decide(answered, lambda row, _: "A", annotators=("one", "two"))
    path = answered / "annotation" / DECISIONS
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("{")])
    with pytest.raises(Waiting, match=r"1 of .* expected .* by 2 people each"):
        run(answered, rows, step(num_votes=2))
    path.write_text(whole)
    assert added(run(answered, rows, step(num_votes=2)))


def test_a_decision_about_no_task_of_the_run_is_refused_with_its_line(answered, rows):
    path = answered / "annotation" / DECISIONS
    path.write_text('{"task": "0", "annotator": "ann", "better": "A"}\n')
    with pytest.raises(DataError, match=f"{re.escape(str(path))}:1: task"):
        run(answered, rows, step())


def test_several_votes_make_the_confidence_and_ties_and_equals_make_no_pair(answered, rows):
    votes = [("A", "A", "A"), ("B", "A", "B"), ("A", "B", "equal"), ("equal", "A", "equal")]

    def case(row):
        return int(row["id"], 16) % len(votes)

    decide(answered, lambda row, name: votes[case(row)][int(name)], annotators="012")
    curated = run(answered, rows, step(num_votes=3))
    cases = Counter(map(case, lines(answered / "annotation" / TASKS)))
    assert set(cases) == {0, 1, 2, 3}
    sure = Counter(round(one.judgment.confidence, 2) for one in added(curated))
    assert sure == {1.0: cases[0], 0.67: cases[1]}
    assert {one.judgment.judge for one in added(curated)} == {"3 annotators"}
    (wins,) = [line for line in exhibit(curated).splitlines() if line.startswith("| direct ag")]
    assert f"| {cases[3]} | {cases[2]} |" in wins
    agreement = (3 * cases[0] + cases[1] + cases[3]) / (3 * cases.total())
    assert f"two agree in {agreement:.1%} of cases; Krippendorff's alpha is " in exhibit(curated)


def test_answers_are_compared_with_the_chosen_one_by_choice(answered, rows):
    with pytest.raises(Waiting):
        run(answered, rows, step(against_chosen=True))
    decide(answered, lambda row, _: "A")
    curated = run(answered, rows, step(against_chosen=True))
    kinds = {
        tuple(sorted((row["a"]["kind"], row["b"]["kind"])))
        for row in lines(answered / "annotation" / "key.jsonl")
    }
    assert kinds == {("direct", "two-step"), ("chosen", "direct"), ("chosen", "two-step")}
    sets = [(one.prompt, frozenset((one.chosen.text, one.rejected.text))) for one in added(curated)]
    assert len(set(sets)) == len(sets)
    assert "| two-step against chosen |" in exhibit(curated)


def test_thinking_stays_by_choice(answered, rows):
    with pytest.raises(Waiting):
        run(answered, rows, step(thinking="keep"))
    decide(answered, lambda row, _: "A")
    thinks = {
        (one.model, one.text.startswith("<think>"))
        for pair in added(run(answered, rows, step(thinking="keep")))
        for one in (pair.chosen, pair.rejected)
    }
    assert thinks == {("world-vlm", False), ("world-reasoner", True)}


def test_only_the_wanted_fields_are_compared_and_only_so_many_prompts(answered, rows):
    chosen = step(fields=("mathematics",), max_prompts=20)
    with pytest.raises(Waiting):
        run(answered, rows, chosen)
    decide(answered, lambda row, _: "A")
    text = exhibit(run(answered, rows, chosen))
    num_asked, num_passed_over = map(
        int, re.search(r"(\d+) prompts with pictures .* ways, (\d+) passed over", text).groups()
    )
    assert num_asked > 0 < num_passed_over and num_asked + num_passed_over == 20
    tasks = lines(answered / "annotation" / TASKS)
    assert 0 < len(tasks) <= num_asked
    assert {row["field"] for row in tasks} == {"mathematics"}


def test_simulated_annotators_find_the_right_answers_and_all_is_marked(answered, rows):
    with WorldEndpoint(truth(), ERRING) as endpoint:
        curated = run(answered, rows, step(annotators=simulated(endpoint.base_url)))
        called = {name for name, one in endpoint.bill.models.items() if one.calls}
        assert called == {"world-judge"}
    made = added(curated)
    assert len(made) > 5
    for one in made:
        pictures = tuple(picture.sha256 for picture in one.prompt.pictures)
        known = truth().find(pictures, one.prompt.messages[0].content[-1]).problem.qualities
        assert (known[one.chosen.text], known[one.rejected.text]) == ("right", "wrong")
        assert one.judgment.kind == "simulated"
        assert one.judgment.judge == "1 simulated annotator"
    assert {one.origin.task.partition(":")[0] for one in made} == {"mathematics", "other"}
    decisions = lines(answered / "annotation" / SIMULATED)
    assert {one["task"] for one in decisions} == {
        one["id"] for one in lines(answered / "annotation" / TASKS)
    }
    assert all(one["simulated"] is True for one in decisions)
    assert not (answered / "annotation" / DECISIONS).exists()
    assert re.search(r"\*\*The decisions about (\d+) of \1 tasks are simulated", exhibit(curated))
    assert re.search(r"\| mathematics \| \d+ \| \d+ \| \d+ \| \d+\.\d% \|", exhibit(curated))


def test_simulated_decisions_stay_marked_among_those_of_people(answered, rows):
    decide(answered, lambda row, _: "A")
    path = answered / "annotation" / DECISIONS
    first, *rest = lines(path)
    marked = [{**first, "simulated": True}, *rest]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in marked))
    curated = run(answered, rows, step())
    kinds = Counter(one.judgment.kind for one in added(curated))
    assert kinds == {"human": len(rest), "simulated": 1}
    assert f"**The decisions about 1 of {1 + len(rest)} tasks are simulated: " in exhibit(curated)


def test_simulated_annotators_err_each_for_themselves_as_often_as_they_should(answered, rows):
    def votes(url=NOWHERE, **settings):
        shutil.rmtree(answered / "work")
        run(answered, rows, step(annotators=simulated(url, num_annotators=5, **settings)))
        return {
            (one["task"], one["annotator"]): one["better"]
            for one in lines(answered / "annotation" / SIMULATED)
        }

    with WorldEndpoint(truth(), ERRING) as endpoint:
        honest = votes(endpoint.base_url)
    erring = votes(error_rate=0.3)
    wrong = {key for key in honest if erring[key] != honest[key]}
    assert 0.2 < len(wrong) / len(honest) < 0.4
    assert len({name for _, name in wrong}) == 5 and len({task for task, _ in wrong}) > 5
    always = votes(error_rate=1.0)
    turned = {"A": "B", "B": "A"}
    assert all(always[key] == turned.get(vote, always[key]) != vote for key, vote in honest.items())
    assert votes(error_rate=0.3, seed=1) != erring


def test_what_fails_is_counted_by_its_reason_and_never_asked_twice(tmp_path, rows):
    config = replace(ERRING, faults=FaultRates(refusal=0.2, torn=0.05), retry_after_seconds=0)
    with WorldEndpoint(truth(), config) as endpoint:
        url = endpoint.base_url
        first = run(tmp_path, rows, step(url, annotators=simulated(url)))
        shutil.rmtree(tmp_path / "work")
        again = run(tmp_path, rows, step(url, annotators=simulated(url)))
        assert set(endpoint.bill.answered.values()) == {1}
    text = exhibit(first)
    assert exhibit(again) == text
    for kind in ("direct", "two-step"):
        ((usable, refused),) = re.findall(rf"\| {kind} \| (\d+) \| (\d+) refusal \|", text)
        assert int(usable) + int(refused) == NUM_PROMPTS
    unlabelled = int(re.search(r"for (\d+) no field is known: \1 refusal", text)[1])
    assert f"| not labelled | {unlabelled} |" in text
    found = re.search(r"(\d+) comparisons became tasks; of the others, (.+?)\. Of", text)
    become, without = found.groups()
    assert int(become) + sum(map(int, re.findall(r"\d+", without))) == NUM_PROMPTS
    undecided = int(re.search(r"(\d+) were not decided: \1 refusal", text)[1])
    decided = {one["task"] for one in lines(tmp_path / "annotation" / SIMULATED)}
    assert len(decided) + undecided == int(become)


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_wherever_the_money_ends_the_run_stops_and_goes_on_with_more(
    tmp_path, rows, waiting, share
):
    with WorldEndpoint(truth(), ERRING) as endpoint:
        with pytest.raises(ConfigError, match="run again with a larger") as caught:
            run(tmp_path, rows, step(endpoint.base_url), max_dollars=share * waiting.dollars)
        assert caught.value.code == "budget-spent"
        assert not (tmp_path / "annotation").exists()
        with pytest.raises(Waiting):
            run(tmp_path, rows, step(endpoint.base_url), max_dollars=100.0)
        assert set(endpoint.bill.answered.values()) == {1}
    tasks = Path("annotation", TASKS)
    assert (tmp_path / tasks).read_bytes() == (waiting.folder / tasks).read_bytes()


def test_money_that_ends_while_simulated_annotators_decide_leaves_no_decisions(
    answered, rows, waiting
):
    with WorldEndpoint(truth(), ERRING) as endpoint:
        chosen = step(annotators=simulated(endpoint.base_url))
        with pytest.raises(ConfigError, match="budget-spent"):
            run(answered, rows, chosen, max_dollars=waiting.dollars + 0.02)
        assert endpoint.bill.answered
    assert not (answered / "annotation" / SIMULATED).exists()


def test_a_rehearsal_asks_nothing_and_foretells_every_call(tmp_path, rows, waiting):
    found = plan(tmp_path, rows, step())
    assert (found.num_calls, found.num_known) == (sum(waiting.calls.values()), 0)
    with_programs = plan(tmp_path, rows, step(annotators=simulated(NOWHERE)))
    assert with_programs.num_calls == found.num_calls + 2 * NUM_PROMPTS


def test_a_rehearsal_of_a_waiting_run_waits_for_nobody(answered, rows):
    found = plan(answered, rows, step())
    assert (found.num_calls, found.num_known) == (0, 4 * NUM_PROMPTS)
    num_tasks = len(lines(answered / "annotation" / TASKS))
    assert plan(answered, rows, step(annotators=simulated(NOWHERE))).num_calls == 2 * num_tasks


def test_a_run_writes_its_tasks_beside_its_set_and_says_on_the_card_who_decided(tmp_path):
    shown = [one.pair for one in world_pairs() if one.asked][::60]
    path = tmp_path / "world.parquet"
    write_parquet(shown, path)
    with WorldEndpoint(truth(), ERRING) as endpoint:
        url = endpoint.base_url
        steps = third_stage_steps(
            vlm=model(url, "world-vlm"),
            describer=model(url, "world-describer"),
            reasoner=model(url, "world-reasoner"),
            annotators=simulated(url),
        )
        config = CurateConfig(
            output=str(tmp_path / "run"), data=(SourceConfig(path=str(path)),), steps=steps
        )
        text = configuration.to_yaml(config)
        assert configuration.parse(text, CurateConfig, place="config") == config
        folder = curate_sets(config, command=["vlreward", "curate"])
    card = (folder / "README.md").read_text()
    assert "**The decisions about" in card and "are simulated, by world-judge" in card
    assert "| reasoning-comparisons |" in card
    assert (tmp_path / "run" / "annotation" / TASKS).exists()
    published = list(read_preferences(SourceConfig(path=str(folder / "data"))))
    kinds = Counter(one.judgment.kind for one in published)
    assert kinds["template"] == len(shown) and kinds["simulated"] > 0


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"max_prompts": 0}, "max_prompts"),
        ({"num_votes": 0}, "num_votes"),
        ({"fields": ("alchemy",)}, "fields"),
        ({"fields": ("physics",)}, "labeller"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, place):
    any_model = EndpointConfig(base_url="http://127.0.0.1:9/v1", model="m")
    with pytest.raises(ConfigError) as caught:
        CompareReasoning(vlm=any_model, describer=any_model, reasoner=any_model, **settings)
    assert caught.value.place == place
