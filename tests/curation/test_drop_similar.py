import itertools
from dataclasses import replace

import pytest

from tests.curation.making import drawing, pair, reasons, run, saved
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.same_texts import TextTolerance
from vlreward.curation.working_set import pairs_of
from vlreward.records import Response

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
    chain = ["the longest columns", "the longset columns", "the longset colunms"]
    rows = [
        pair(f"Name {text}.", place=str(number), confidence=1 - number / 10)
        for number, text in enumerate(chain)
    ]
    near = DropSimilar(texts=TextTolerance(min_similarity=0.7, min_word_similarity=0.99))
    far = DropSimilar(texts=TextTolerance(min_similarity=0.91, min_word_similarity=0.99))
    assert dropped(tmp_path / "near", *rows, step=near) == {"1": "similar", "2": "similar"}
    assert dropped(tmp_path / "far", *rows, step=far) == {"1": "similar"}


@pytest.mark.parametrize(
    "answers",
    [("It is in the box.", "It is on the box."), ("2/3", "3/2"), ("Red, blue.", "Blue, red.")],
)
def test_opposite_preferences_are_not_similar_however_alike_their_answers_are(tmp_path, answers):
    rows = [
        pair("Where is the ball?", *answers, place="a"),
        pair("Please tell me: where is the ball?", *answers[::-1], place="b"),
    ]
    assert not dropped(tmp_path, *rows)


def test_a_picture_in_an_answer_is_none_in_the_other_answer(tmp_path):
    red = saved(drawing((80, 80, "red")), tmp_path / "red.png")
    here, shown = Response(content=("Here.",)), Response(content=("Here.", red))
    first = pair("Draw a circle.", place="a")
    other = pair("Please draw a circle.", place="b")
    assert not dropped(
        tmp_path,
        replace(first, chosen=shown, rejected=here),
        replace(other, chosen=here, rejected=shown),
    )


def test_prompts_that_are_a_picture_alone_are_compared(tmp_path):
    original = saved(drawing(*CIRCLES), tmp_path / "original.png")
    copy = saved(drawing(*CIRCLES), tmp_path / "copy.jpg", quality=85)
    rows = [
        pair("", "Two red bars.", "One.", original, place="a", confidence=1.0),
        pair("", "There are two red bars.", "One.", copy, place="b"),
    ]
    assert dropped(tmp_path, *rows) == {"b": "similar"}


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
    rows = [pair(f"{polite} how many circles?", place=polite) for polite in ("Hello,", "Please,")]
    once = list(pairs_of(run(rows, tmp_path / "1", DropSimilar()).rows))
    again = run(once, tmp_path / "2", DropSimilar())
    assert len(once) == 1 and not again.entries


def test_of_rows_that_differ_in_nothing_one_stays(tmp_path):
    out = run([pair(place="a"), pair(place="a")], tmp_path, DropSimilar())
    assert [one.reason for one in out.entries] == ["similar"]
