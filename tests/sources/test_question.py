import json

import pytest

from tests.sources.making import read_pair, refusal, spell, write_pictures

RLAIF_V = {
    "ds_name": "RLAIF-V",
    "question": "How many are there?",
    "chosen": "Three.",
    "rejected": "Four.",
    "origin_dataset": "OK-VQA",
    "origin_split": '{"model": "llava"}',
    "idx": "17",
    "image_path": "elsewhere.jpg",
}


def test_a_row_of_rlaif_v_reads_with_its_picture_first(tmp_path):
    write_pictures(tmp_path, "red")
    pair = read_pair(tmp_path, {**RLAIF_V, "image": "red.png"})
    assert spell(pair.prompt.messages[0].content) == ["[red]", "How many are there?"]
    assert (pair.chosen.text, pair.rejected.text) == ("Three.", "Four.")
    assert (pair.origin.source, pair.origin.row_id) == ("RLAIF-V", "17")
    assert pair.judgment.kind == "unknown"


def test_a_row_of_rlhf_v_has_its_words_in_one_json_text(tmp_path):
    write_pictures(tmp_path, "red")
    words = {name: RLAIF_V[name] for name in ("question", "chosen", "rejected")}
    row = {"ds_name": "RLHF-V", "image": "red.png", "text": json.dumps(words), "idx": 3}
    pair = read_pair(tmp_path, row)
    assert spell(pair.prompt.messages[0].content) == ["[red]", "How many are there?"]
    assert (pair.chosen.text, pair.origin.row_id) == ("Three.", "3")


def test_a_row_of_mmpr_marks_where_its_pictures_stand(tmp_path):
    write_pictures(tmp_path, "red", "green")
    row = {
        "image": ["red.png", "green.png"],
        "question": "First <image> then <image>: which?",
        "chosen": "As <image> shows, the first.",
        "rejected": "The second.",
    }
    pair = read_pair(tmp_path, row)
    content = spell(pair.prompt.messages[0].content)
    assert content == ["First ", "[red]", " then ", "[green]", ": which?"]
    assert pair.chosen.text == "As <image> shows, the first."


def test_a_question_without_a_picture_reads(tmp_path):
    row = {"question": "2 + 2?", "chosen": "4", "rejected": "5"}
    assert not read_pair(tmp_path, row).has_pictures


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"question": 5}, "field-type"),
        ({"chosen": None}, "field-missing"),
        ({"rejected": "Three."}, "pair-identical"),
        ({"chosen": " "}, "answer-empty"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tmp_path, change, code):
    assert refusal(tmp_path, {**RLAIF_V, **change}, format="question").code == code


def test_a_text_that_is_no_json_is_refused(tmp_path):
    refused = refusal(tmp_path, {"text": '{"question": '}, format="question")
    assert refused.code == "text-not-json" and "text" in refused.place
