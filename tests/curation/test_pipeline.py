import json
from dataclasses import replace

import pytest

from tests.curation.making import drawing, pair, run, saved
from vlreward.curation import ledger
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.frames import daft
from vlreward.curation.ledger import Count, Entry
from vlreward.curation.pipeline import models_left
from vlreward.curation.steps import Drop, Exhibit, Outcome
from vlreward.curation.working_set import pairs_of, read_in, rows_of
from vlreward.errors import DataError
from vlreward.generation.spec import parse_endpoint
from vlreward.recipes.curation import three_stages
from vlreward.records import Response


class Counting:
    """A step that drops the first row and counts its calls."""

    name = "counting"

    def __init__(self):
        self.calls = 0

    def __call__(self, rows, *, bench):
        self.calls += 1
        first = rows.select("row").sort("row").to_pydict()["row"][0]
        return Outcome(drops=[Drop(row=first, reason="first")])


def test_each_step_sees_what_the_ones_before_it_left(tmp_path):
    rows = [
        pair(place="a"),
        pair(place="b", confidence=0.4),
        pair("Which?", place="c", confidence=0.1),
    ]
    out = run(rows, tmp_path, DropIdentical(), DropAmbiguous())
    assert [(one.step, one.place) for one in out.entries] == [
        ("drop-identical", "b"),
        ("drop-ambiguous", "c"),
    ]
    assert out.passed == {"drop-identical": (1, 0, 2), "drop-ambiguous": (1, 0, 1)}


def test_pairs_come_back_as_they_went_in(tmp_path):
    red = saved(drawing((80, 80, "red")), tmp_path / "red.png")
    rows = [
        pair("Which?", "é", "<image>", red, place="a", kind="human", confidence=0.5, margin=2.0),
        pair(place="b", source="other"),
    ]
    back = list(pairs_of(run(rows, tmp_path).rows))
    assert sorted(back, key=lambda one: one.origin.place) == rows
    for one, other in zip(sorted(back, key=lambda one: one.origin.place), rows, strict=True):
        assert (one.judgment, one.origin, one.id) == (other.judgment, other.origin, other.id)


def test_a_finished_step_is_not_done_again(tmp_path):
    step = Counting()
    first = run([pair(place="a"), pair("Which?", place="b")], tmp_path, step)
    again = run([pair(place="a"), pair("Which?", place="b")], tmp_path, step)
    assert step.calls == 1 and again.entries == first.entries and again.passed == first.passed


def test_the_models_that_are_left_to_ask_are_those_of_unfinished_steps(tmp_path):
    judge, generator, reasoner = (
        parse_endpoint(f"{name}@http://127.0.0.1:9/v1") for name in ("judge", "vlm", "reasoner")
    )
    steps = three_stages(data="x", judge=judge, generator=generator, reasoner=reasoner).steps
    left = models_left(steps, folder=tmp_path)
    assert {(one.endpoint.model, one.sees_pictures) for one in left} == {
        ("judge", True),
        ("vlm", True),
        ("reasoner", False),
    }
    for folder in ("03-drop-ambiguous", "05-compare-reasoning"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "found.json").touch()
    assert models_left(steps, folder=tmp_path) == list(steps[3].models)


def test_a_step_that_drops_a_row_twice_is_found_out(tmp_path):
    class Twice(Counting):
        def __call__(self, rows, *, bench):
            return Outcome(drops=[*super().__call__(rows, bench=bench).drops] * 2)

    with pytest.raises(AssertionError, match="twice"):
        run([pair(place="a"), pair("Which?", place="b")], tmp_path, Twice())


class Improving:
    """A step that puts a new pair in the first row's stead."""

    name = "improving"

    def __call__(self, rows, *, bench):
        old = next(pairs_of(rows))
        new = replace(old, chosen=Response(content=("Three circles.",)))
        row = rows.select("row", "id").where(daft().col("id") == old.id).to_pydict()["row"][0]
        exhibit = Exhibit(title="Improved", text="One answer.")
        return Outcome(
            drops=[Drop(row=row, reason="improved", because=new.id)],
            added=[new],
            exhibits=[exhibit],
        )


def test_a_step_may_put_a_new_pair_in_the_stead_of_another(tmp_path):
    rows = [pair(place="a"), pair("Which?", place="b")]
    for _ in range(2):
        out = run(rows, tmp_path, Improving(), DropIdentical())
        assert out.passed == {"improving": (1, 1, 2), "drop-identical": (0, 0, 2)}
        kept = list(pairs_of(out.rows))
        assert [one.because for one in out.entries] == [
            one.id for one in kept if one.chosen.content == ("Three circles.",)
        ]
        assert sorted(out.rows.to_pydict()["row"]) in ([0, 2], [1, 2])
        assert [one.title for one in out.exhibits] == ["Improved"]


def test_all_rows_are_those_read_and_those_added_whatever_became_of_them(tmp_path):
    out = run([pair(place="a")], tmp_path, Improving(), Counting())
    assert out.rows.count_rows() == 0
    assert {one.id for one in pairs_of(out.all_rows)} == {one.id for one in out.entries}
    assert len(out.entries) == 2


def test_a_folder_may_have_the_signs_of_patterns_in_its_name(tmp_path):
    folder = tmp_path / "run [1] {a,b} *?"
    out = run([pair(place="a"), pair(place="b")], folder, DropIdentical())
    assert out.passed == {"drop-identical": (1, 0, 1)}


def test_rows_that_are_no_pairs_go_to_the_ledger_with_file_row_and_reason(tmp_path):
    refused = DataError(
        "answer-empty", value="nothing", place="x.jsonl:3", expected="text", mend="Drop it."
    )
    lone = pair(chosen="\ud800", place="x.jsonl:4")
    read = read_in([("x.jsonl", [pair(), refused, lone])], tmp_path / "read")
    assert read.num_read == 3 and rows_of(tmp_path / "read").count_rows() == 1
    assert [(one.reason, one.source, one.place) for one in read.refused] == [
        ("text-surrogate", "set", "x.jsonl:4"),
        ("answer-empty", "x.jsonl", "x.jsonl:3"),
    ]
    assert read.refused[1].detail == "nothing; expected text. Drop it. [answer-empty]"


def test_a_ledger_comes_back_and_counts(tmp_path):
    entries = [
        Entry(step="read", reason="torn", source="a", place="a:1"),
        Entry(step="similar", reason="close", source="a", place="a:2", id="1", because="2"),
        Entry(step="similar", reason="close", source="b", place="b:1", id="3", because="2"),
    ]
    ledger.write(entries, tmp_path / "ledger.parquet")
    assert ledger.read(tmp_path / "ledger.parquet") == entries
    assert ledger.counts(entries) == [Count("read", "torn", 1), Count("similar", "close", 2)]


def test_drops_are_kept_as_plain_json(tmp_path):
    run([pair(place="a"), pair(place="b")], tmp_path, DropIdentical())
    found = json.loads((tmp_path / "01-drop-identical" / "found.json").read_text())
    [drop] = found["drops"]
    assert drop["reason"] == "identical" and drop["row"] in (0, 1)
