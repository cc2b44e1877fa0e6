import pytest

from tests.sources.making import data_uri, read_pairs, refusal, spell, write_rows
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import load_comparisons

ROW = {
    "id": "wildvision-battle-0",
    "query": "Which is bigger?",
    "response": ["The left.", "The <image> right."],
    "human_ranking": [1, 0],
    "image": data_uri("red"),
    "judge": ["someone"],
}


def read(tmp_path, row):
    [pair] = read_pairs(write_rows(tmp_path / "rows.jsonl", row))
    return pair


def test_the_response_of_rank_0_is_the_chosen_one(tmp_path):
    pair = read(tmp_path, ROW)
    assert (pair.chosen.text, pair.rejected.text) == ("The <image> right.", "The left.")
    assert spell(pair.prompt.messages[0].content) == ["[red]", "Which is bigger?"]
    assert (pair.judgment.kind, pair.origin.row_id) == ("human", "wildvision-battle-0")
    other = read(tmp_path, {**ROW, "human_ranking": [0, 1]})
    assert (other.chosen.text, other.rejected.text) == ("The left.", "The <image> right.")


def test_a_marked_picture_stands_in_its_place(tmp_path):
    pair = read(tmp_path, {**ROW, "query": "This <image> or that?"})
    assert spell(pair.prompt.messages[0].content) == ["This ", "[red]", " or that?"]


def test_a_row_can_be_scored_and_decontaminated_against(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", ROW)
    [found] = load_comparisons(SourceConfig(path=str(path)))
    assert [one.text for one in found.responses] == ["The <image> right.", "The left."]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"human_ranking": [0, 0]}, "ranks-unknown"),
        ({"human_ranking": [1]}, "ranks-unknown"),
        ({"human_ranking": "first"}, "field-type"),
        ({"response": ["a", "b", "c"]}, "ranks-unknown"),
        ({"response": ["a", 5]}, "field-type"),
        ({"response": ["a", " "]}, "answer-empty"),
        ({"response": ["a", "a"]}, "pair-identical"),
        ({"query": None}, "field-missing"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tmp_path, change, code):
    assert refusal(tmp_path, {**ROW, **change}, format="ranked").code == code
