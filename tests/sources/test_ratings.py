import itertools

import pytest

from tests.sources.making import read_all, read_pairs, refusal, write_pictures, write_rows
from vlreward.errors import ConfigError, DataError
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_comparisons


def pointwise(answer, score, *, question="How many?", label="The LMM response", picture="red.png"):
    request = (
        f"<image>\nScore the response out of 100.\nQuestion: [{question}]\n"
        f"{label}: [{answer}]\nASSISTANT:\n"
    )
    turns = [{"from": "human", "value": request}, {"from": "gpt", "value": score}]
    return {"id": answer, "source": "s", "image": picture, "conversations": turns}


def rated(**changes):
    row = {"prompt": "How many?", "responses": ["Two.", "Three.", "Four."], "ratings": [2, 5, 1]}
    return {**row, **changes}


def spelled(pairs):
    return [(pair.chosen.text, pair.rejected.text, pair.judgment.margin) for pair in pairs]


def test_answers_to_one_question_about_one_picture_make_pairs_wherever_they_lie(tmp_path):
    write_pictures(tmp_path, "red", "green")
    rows = [
        pointwise("Two.", "Score: 90\nReason: right."),
        pointwise("Nine.", "Score: 50", question="How many more?"),
        pointwise("Red.", "Score: 10", picture="green.png"),
        pointwise("Three.", "First Score: 80, in the end Final Score: [20]"),
        pointwise("Four.", "Score: 20"),
    ]
    found = read_all(write_rows(tmp_path / "rows.jsonl", *rows))
    pairs, alone = found[:2], found[2:]
    assert [(one.code, one.row_id) for one in alone] == [
        ("rating-unpaired", "Nine."),
        ("rating-unpaired", "Red."),
    ]
    assert sorted(spelled(pairs)) == [("Two.", "Four.", 70.0), ("Two.", "Three.", 70.0)]
    assert pairs[0].prompt.messages[0].content[1] == "How many?"
    assert (pairs[0].judgment.kind, pairs[0].judgment.judge) == ("model", "gpt-4o")
    assert (pairs[0].origin.source, pairs[0].origin.row_id) == ("s", "Two.")


def test_the_answers_of_one_row_make_pairs_with_the_widest_gap_first(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", rated(models=["a", "b", "c"], label_type="human"))
    pairs = read_pairs(path)
    assert spelled(pairs) == [
        ("Three.", "Four.", 4.0),
        ("Three.", "Two.", 3.0),
        ("Two.", "Four.", 1.0),
    ]
    assert (pairs[0].chosen.model, pairs[0].rejected.model) == ("b", "c")
    assert pairs[0].judgment.kind == "human"


def test_gaps_and_numbers_of_pairs_can_be_limited(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", rated())
    assert spelled(read_pairs(path, min_rating_gap=3)) == [
        ("Three.", "Four.", 4.0),
        ("Three.", "Two.", 3.0),
    ]
    assert spelled(read_pairs(path, max_pairs_per_prompt=1)) == [("Three.", "Four.", 4.0)]


def test_right_and_wrong_are_ratings(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", rated(ratings=[False, True, False]))
    assert sorted(spelled(read_pairs(path))) == [("Three.", "Four.", 1.0), ("Three.", "Two.", 1.0)]


def test_equal_ratings_make_no_pair_and_an_answer_rated_twice_has_the_mean(tmp_path):
    row = rated(responses=["Two.", "Two.", "Four."], ratings=[3, 1, 3])
    assert spelled(read_pairs(write_rows(tmp_path / "rows.jsonl", row))) == [("Four.", "Two.", 1.0)]


def test_rows_that_are_in_no_pair_come_as_such_after_the_pairs(tmp_path):
    rows = [rated(id="x", prompt="Alone?"), rated(), rated(id=3, prompt="One?", ratings=[1, 1, 1])]
    path = write_rows(tmp_path / "rows.jsonl", *rows)
    found = read_all(path, min_rating_gap=4)
    assert [isinstance(one, DataError) for one in found] == [False, False, True]
    pair, other, alone = found
    assert {pair.prompt, other.prompt} == {one.prompt for one in read_pairs(path, limit=2)}
    assert (alone.code, alone.row_id, alone.place) == ("rating-unpaired", "3", f"{path}:3")
    assert "rated 1, 1, 1" in str(alone) and "at least 4" in str(alone)
    everything = read_all(path, min_rating_gap=9)
    assert [one.code for one in everything] == ["rating-unpaired"] * 3


def test_rows_beyond_the_pairs_of_a_prompt_are_named(tmp_path):
    rows = [
        rated(responses=[f"{n} more", "None."], ratings=[n, 0], prompt="Q?") for n in range(1, 6)
    ]
    found = read_all(write_rows(tmp_path / "rows.jsonl", *rows), max_pairs_per_prompt=2)
    assert len(found) == 2
    rows = [rated(responses=[f"{n} more"], ratings=[n], prompt="Q?") for n in range(1, 6)]
    found = read_all(write_rows(tmp_path / "rows.jsonl", *rows), max_pairs_per_prompt=2)
    codes = [one.code for one in found if isinstance(one, DataError)]
    assert codes == ["rating-unpaired"] * 2


def test_the_order_of_rows_changes_no_set_of_pairs(tmp_path):
    rows = [
        rated(responses=[name, "Zero."], ratings=[index, 0.5])
        for index, name in enumerate(["One.", "Two.", "Three."])
    ]
    found = {
        frozenset(
            spelled(read_pairs(write_rows(tmp_path / "rows.jsonl", *order), max_pairs_per_prompt=9))
        )
        for order in itertools.permutations(rows)
    }
    assert len(found) == 1


def test_refused_rows_cost_no_others(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", rated(), rated(ratings=[1]), rated(prompt="Which?"))
    items = read_all(path)
    assert [one.code for one in items if isinstance(one, DataError)] == ["ratings-mismatch"]
    assert len(items) == 1 + 3 + 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ratings": [1, 2, "x"]}, "field-type"),
        ({"ratings": [1, 2, float("nan")]}, "field-type"),
        ({"ratings": [1, 2]}, "ratings-mismatch"),
        ({"responses": [], "ratings": []}, "ratings-mismatch"),
        ({"responses": ["", "a", "b"]}, "answer-empty"),
        ({"ratings": None}, "field-missing"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tmp_path, change, code):
    assert refusal(tmp_path, rated(**change), format="rated").code == code


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (pointwise("Two.", "It is good."), "critic-unreadable"),
        (pointwise("Two.]\nQuestion: [x", "Score: 3"), "critic-delimiters"),
        (pointwise("Two.]\nThe LMM response: [x", "Score: 3"), "critic-delimiters"),
    ],
)
def test_a_score_that_cannot_be_read_is_refused(tmp_path, row, code):
    write_pictures(tmp_path, "red")
    assert refusal(tmp_path, row, format="llava-critic-pointwise").code == code


def test_a_row_of_ratings_can_be_scored(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", rated())
    [found] = list(read_comparisons(SourceConfig(path=str(path))))
    assert not isinstance(found, DataError) and len(found.responses) == 3
    with pytest.raises(ConfigError, match="to score rows"):
        read_comparisons(SourceConfig(path=str(path), format="llava-critic-pointwise"))


@pytest.mark.parametrize("change", [{"min_rating_gap": -1.0}, {"max_pairs_per_prompt": 0}])
def test_impossible_limits_are_refused(change):
    with pytest.raises(ConfigError) as refused:
        SourceConfig(path="x.jsonl", **change)
    assert refused.value.place in change
