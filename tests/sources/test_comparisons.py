import pytest

from tests.sources.making import FLAT_ROW, TRL_ROW, data_uri, spell, write_rows
from vlreward.errors import DataError
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_comparisons


def read(folder, *rows, **settings):
    path = str(write_rows(folder / "a.jsonl", *rows))
    return list(read_comparisons(SourceConfig(path=path, **settings)))


def test_a_prompt_with_any_number_of_responses_reads(tmp_path):
    row = {
        "id": 7,
        "prompt": "<image>Which?",
        "responses": ["a", "b", "c"],
        "images": data_uri("red"),
    }
    (item,) = read(tmp_path, row)
    assert (item.row_id, item.place) == ("7", f"{tmp_path / 'a.jsonl'}:1")
    assert spell(item.prompt.messages[0].content) == ["[red]", "Which?"]
    assert [response.text for response in item.responses] == ["a", "b", "c"]


def test_messages_and_content_parts_read_with_pictures_in_the_responses(tmp_path):
    row = {
        "prompt": [{"role": "system", "content": "Draw."}, {"role": "user", "content": "A square"}],
        "responses": [
            [{"type": "image"}],
            {"role": "assistant", "content": "<image> here"},
            "none",
        ],
        "images": [data_uri("red"), data_uri("green")],
    }
    (item,) = read(tmp_path, row)
    assert [spell(r.content) for r in item.responses] == [["[red]"], ["[green]", " here"], ["none"]]


def test_equal_responses_may_be_scored(tmp_path):
    (item,) = read(tmp_path, {"prompt": "?", "responses": ["a", "a"]})
    assert len(item.responses) == 2


def test_pairs_of_any_form_read_as_chosen_then_rejected(tmp_path):
    (flat,) = read(tmp_path, {**FLAT_ROW, "chosen_model": "gold"})
    (trl,) = read(tmp_path, TRL_ROW)
    assert [response.text for response in flat.responses] == ["Left.", "Right."]
    assert flat.responses[0].model == "gold"
    assert [response.text for response in trl.responses] == ["The left.", "The right."]


@pytest.mark.parametrize("name", ["messages", "conversations"])
def test_a_conversation_reads_as_its_last_turn_after_the_others(tmp_path, name):
    row = {
        name: [
            {"from": "human", "value": "<image>Who?"},
            {"from": "gpt", "value": "Kane."},
            {"from": "human", "value": "Where<image>?"},
            {"from": "gpt", "value": "There."},
        ],
        "images": [data_uri("red"), data_uri("blue")],
    }
    (item,) = read(tmp_path, row)
    assert [spell(one.content) for one in item.prompt.messages] == [
        ["[red]", "Who?"],
        ["Kane."],
        ["Where", "[blue]", "?"],
    ]
    assert [response.text for response in item.responses] == ["There."]


def test_a_conversation_without_an_answer_is_refused(tmp_path):
    (error,) = read(tmp_path, {"messages": [{"role": "user", "content": "Who?"}]})
    assert (error.code, error.place[-12:]) == ("answer-not-one-message", "messages[-1]")


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ({"prompt": "?", "responses": []}, "field-type", "responses"),
        ({"prompt": "?", "responses": "a"}, "field-type", "responses"),
        ({"prompt": "?", "responses": ["a", " "]}, "answer-empty", "responses[1]"),
        ({"prompt": "?", "responses": ["a", 5]}, "field-type", "responses[1]"),
        ({"responses": ["a"]}, "field-missing", "prompt"),
        ({"prompt": "<image>?", "responses": ["a"]}, "markers-mismatch", "images"),
    ],
)
def test_a_row_that_cannot_be_scored_is_refused(tmp_path, row, code, field):
    (error,) = read(tmp_path, row)
    assert isinstance(error, DataError)
    assert error.code == code
    assert error.place.endswith(f": {field}")


def test_rows_of_no_known_form_say_what_may_be_scored(tmp_path):
    with pytest.raises(DataError, match=r"responses \(prompt, responses\)"):
        read(tmp_path, {"prompt": "?"})
