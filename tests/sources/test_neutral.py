import pytest

from tests.sources.making import FLAT_ROW, read_pair, refusal, spell, write_pictures


def test_a_row_reads_with_its_models_judgment_task_and_split(tmp_path):
    write_pictures(tmp_path, "red")
    row = {
        **FLAT_ROW,
        "source": "S",
        "split": "val",
        "task": "counting",
        "prompt": "See <image>\nHow many?",
        "images": ["red.png"],
        "chosen_model": "gold",
        "rejected_model": "other",
        "label_type": "template",
        "meta": {"answer": 5},
    }
    pair = read_pair(tmp_path, row)
    assert spell(pair.prompt.messages[0].content) == ["See ", "[red]", "\nHow many?"]
    assert (pair.chosen.model, pair.rejected.model) == ("gold", "other")
    assert pair.judgment.kind == "template"
    assert (pair.origin.source, pair.origin.row_id) == ("S", "r1")
    assert (pair.origin.task, pair.origin.split) == ("counting", "val")


def test_a_whole_number_that_a_table_has_made_a_float_is_an_id(tmp_path):
    assert read_pair(tmp_path, {**FLAT_ROW, "id": 17.0}).origin.row_id == "17"


def test_pictures_in_the_answers_follow_those_of_the_prompt(tmp_path):
    write_pictures(tmp_path, "red", "green")
    row = {
        **FLAT_ROW,
        "chosen": "<image>",
        "rejected": "Here: <image>",
        "images": ["red.png", "green.png"],
    }
    pair = read_pair(tmp_path, row)
    assert spell(pair.chosen.content) == ["[red]"]
    assert spell(pair.rejected.content) == ["Here: ", "[green]"]


def test_a_marker_that_an_answer_quotes_is_text_when_the_prompt_takes_all_pictures(tmp_path):
    write_pictures(tmp_path, "red")
    row = {**FLAT_ROW, "prompt": "<image>?", "chosen": "In <image> I see.", "images": ["red.png"]}
    assert read_pair(tmp_path, row).chosen.content == ("In <image> I see.",)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prompt": "<image>?"}, "markers-mismatch"),
        ({"prompt": ["a"]}, "field-type"),
        ({"chosen": None}, "field-missing"),
        ({"chosen": 5}, "field-type"),
        ({"id": 2.0**60}, "field-type"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tmp_path, change, code):
    assert refusal(tmp_path, {**FLAT_ROW, **change}, format="neutral").code == code
