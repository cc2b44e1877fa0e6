import itertools

import pytest

from tests.curation.making import drawing, pair, reasons, run, saved
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.working_set import pairs_of


def dropped(tmp_path, *pairs):
    return reasons(run(pairs, tmp_path, DropIdentical()).entries)


def test_of_one_pair_in_two_sources_the_better_judged_one_stays(tmp_path):
    found = dropped(
        tmp_path,
        pair(source="machine", place="m:1", kind="model", confidence=1.0),
        pair(source="people", place="p:1", kind="human", confidence=0.7),
        pair(source="people", place="p:2", kind="human", confidence=0.9),
    )
    assert found == {"m:1": "identical", "p:1": "identical"}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "How  many\ncircles are there? "},
        {"chosen": " Three.\n"},
        {"prompt": "\n How many circles are there?"},
    ],
)
def test_white_space_and_ways_to_write_a_letter_do_not_count(tmp_path, change):
    assert dropped(tmp_path, pair(place="a"), pair(**change, place="b")) == {"b": "identical"} or (
        dropped(tmp_path / "2", pair(place="a"), pair(**change, place="b")) == {"a": "identical"}
    )


@pytest.mark.parametrize(
    "change",
    [{"prompt": "how many circles are there?"}, {"chosen": "Three"}, {"rejected": "Four."}],
)
def test_any_other_difference_counts(tmp_path, change):
    assert not dropped(tmp_path, pair(place="a"), pair(**change, place="b"))


def test_where_rows_disagree_the_majority_holds(tmp_path):
    swapped = pair(chosen="Five.", rejected="Three.", place="other", kind="human")
    found = dropped(tmp_path, pair(place="a"), pair(place="b"), swapped)
    assert found == {"b": "identical", "other": "contradicted"}


def test_without_a_majority_none_stays(tmp_path):
    swapped = pair(chosen="Five.", rejected="Three.", place="other")
    out = run([pair(place="a"), swapped], tmp_path, DropIdentical())
    assert reasons(out.entries) == {"a": "contradictory", "other": "contradictory"}
    assert not list(pairs_of(out.rows))


def test_the_order_of_reading_changes_nothing(tmp_path):
    rows = [
        pair(place="a", kind="model"),
        pair(place="b", kind="model"),
        pair(place="c", confidence=0.4),
        pair(chosen="Five.", rejected="Three.", place="d"),
        pair(prompt="Which?", place="e"),
    ]
    found = {
        tuple(run(order, tmp_path / str(number), DropIdentical()).entries)
        for number, order in enumerate(itertools.islice(itertools.permutations(rows), 0, 120, 17))
    }
    assert len(found) == 1 and len(next(iter(found))) == 3


def test_white_space_beside_a_picture_does_not_count(tmp_path):
    red = saved(drawing((90, 90, "red")), tmp_path / "red.png")
    one, other = (
        pair(text, "One.", "Two.", red, place=text) for text in ("How many?", "\nHow many?")
    )
    assert list(dropped(tmp_path, one, other).values()) == ["identical"]


def test_answers_that_differ_in_white_space_alone_are_no_preference(tmp_path):
    rows = [pair(chosen="Yes.", rejected="Yes. ", place="a"), pair(place="b")]
    assert dropped(tmp_path, *rows) == {"a": "answers-identical"}


def test_code_that_is_indented_otherwise_is_another_answer(tmp_path):
    first = "def f(n):\n    for i in range(n):\n        t = i\n    return t"
    second = first.replace("\n    return", "\n        return")
    assert dropped(tmp_path, pair(chosen=first, rejected=second)) == {}


def test_white_space_on_an_empty_line_makes_no_other_answer(tmp_path):
    rows = [pair(place="a", chosen="x\n\ny"), pair(place="b", chosen="x\n   \ny")]
    assert list(dropped(tmp_path, *rows).values()) == ["identical"]


def test_a_sure_judges_copy_stays_before_an_unsure_persons(tmp_path):
    rows = [
        pair(place="unsure", kind="human", confidence=0.4),
        pair(place="silent", kind="model"),
        pair(place="behind", kind="human", margin=-3.0),
    ]
    assert dropped(tmp_path, *rows) == {"unsure": "identical", "behind": "identical"}


def test_a_picture_is_part_of_the_prompt(tmp_path):
    red, blue = (saved(drawing((90, 90, c)), tmp_path / f"{c}.png") for c in ("red", "blue"))
    one, other = (
        pair("How many?", "One.", "Two.", shown, place=name)
        for shown, name in ((red, "a"), (blue, "b"))
    )
    assert not dropped(tmp_path, one, other)


@pytest.mark.parametrize("unsure", [{"margin": 0.0}, {"confidence": 0.5}, {"margin": -1.0}])
def test_unsure_rows_do_not_outvote_a_sure_person(tmp_path, unsure):
    person = pair(chosen="Five.", rejected="Three.", place="person", kind="human", confidence=1.0)
    rows = [pair(place="a", **unsure), pair(place="b", **unsure), person]
    out = run(rows, tmp_path, DropIdentical(), DropAmbiguous())
    assert reasons(out.entries) == {"a": "contradicted", "b": "contradicted"}
    assert {one.detail for one in out.entries} == {"1 votes to 0 for the other answer"}
    assert [one.origin.place for one in pairs_of(out.rows)] == ["person"]


def test_among_unsure_rows_alone_the_majority_holds(tmp_path):
    swapped = pair(chosen="Five.", rejected="Three.", place="other", confidence=0.5)
    rows = [pair(place="a", margin=0.0), pair(place="b", margin=0.0), swapped]
    assert dropped(tmp_path, *rows) == {"b": "identical", "other": "contradicted"}


def test_an_unsure_row_breaks_no_tie_of_sure_ones(tmp_path):
    swapped = pair(chosen="Five.", rejected="Three.", place="other")
    rows = [pair(place="a"), pair(place="b", margin=0.0), swapped]
    assert dropped(tmp_path, *rows) == dict.fromkeys(("a", "b", "other"), "contradictory")
