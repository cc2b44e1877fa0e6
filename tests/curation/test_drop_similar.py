import itertools

import pytest

from tests.curation.making import drawing, pair, reasons, run, saved
from vlreward.curation.alike import TextTolerance
from vlreward.curation.drop_similar import DropSimilar

CIRCLES = ((80, 80, "red"), (150, 140, "blue"))


def dropped(tmp_path, *pairs, step=None):
    return reasons(run(pairs, tmp_path, step or DropSimilar()).entries)


def test_of_paraphrases_the_better_judged_one_stays(tmp_path):
    found = dropped(
        tmp_path,
        pair(place="model", kind="model"),
        pair("Please tell me: how many circles are there?", place="people", kind="human"),
        pair("How many squares are there?", place="other"),
    )
    assert found == {"model": "similar"}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "How many squares are there?"},
        {"chosen": "Four."},
        {"rejected": "Six."},
        {"chosen": "Five.", "rejected": "Three."},
        {"chosen": "Not three."},
    ],
)
def test_what_asks_or_says_something_else_stays(tmp_path, change):
    assert not dropped(tmp_path, pair(place="a"), pair(**change, place="b"))


def test_a_copy_of_the_picture_is_the_same_picture_and_a_look_alike_is_not(tmp_path):
    original = saved(drawing(*CIRCLES), tmp_path / "original.png")
    copy = saved(drawing(*CIRCLES), tmp_path / "copy.jpg", quality=85)
    other = saved(drawing((80, 80, "red"), (140, 140, "blue")), tmp_path / "other.png")
    question = "Do the circles overlap?"
    rows = [
        pair(question, "Yes.", "No.", shown, place=name, confidence=sure)
        for shown, name, sure in ((original, "a", 1.0), (copy, "b", 0.5), (other, "c", 0.5))
    ]
    assert dropped(tmp_path, *rows) == {"b": "similar"}


def test_who_is_like_a_dropped_row_alone_stays(tmp_path):
    chain = ["Name the biggest red bar.", "Name the biggset red bar.", "Name the biggset redd bar."]
    step = DropSimilar(texts=TextTolerance(min_similarity=0.93, min_word_similarity=0.99))
    rows = [
        pair(text, place=str(number), confidence=1 - number / 10)
        for number, text in enumerate(chain)
    ]
    out = run(rows, tmp_path, step)
    assert all(entry.because is not None for entry in out.entries)
    kept = {one for one in "012"} - reasons(out.entries).keys()
    assert "0" in kept


def test_the_order_of_reading_changes_nothing(tmp_path):
    rows = [
        pair(text, place=str(number), kind=kind)
        for number, (text, kind) in enumerate(
            itertools.product(
                (
                    "How many circles are there?",
                    "What is the number of circles?",
                    "Could you count the circles?",
                    "Which circle is red?",
                ),
                ("human", "model"),
            )
        )
    ]
    found = {
        tuple(run(order, tmp_path / str(number), DropSimilar()).entries)
        for number, order in enumerate((rows, rows[::-1], rows[3:] + rows[:3]))
    }
    assert len(found) == 1 and len(next(iter(found))) == 6


def test_twice_drops_no_more_than_once(tmp_path):
    from vlreward.curation.working_set import pairs_of

    rows = [pair(f"{polite} how many circles?", place=polite) for polite in ("Hello,", "Please,")]
    once = list(pairs_of(run(rows, tmp_path / "1", DropSimilar()).rows))
    again = run(once, tmp_path / "2", DropSimilar())
    assert len(once) == 1 and not again.entries
