import pytest

from tests.sources.making import png, read_pairs, refusal, write_rows

PANDALM = {
    "idx": 4,
    "instruction": "Shorten this.",
    "input": "A long text.",
    "response1": "A text.",
    "response2": "Long.",
    "annotator1": 1,
    "annotator2": 1,
    "annotator3": 2,
}
WILDVISION = {
    "instruction": "What is this?",
    "response_a": "A dog.",
    "response_b": "A cat.",
    "judge": "gpt-4o",
    "score": "B>>A",
    "image": None,
}


def read(tmp_path, row):
    [pair] = read_pairs(write_rows(tmp_path / "rows.jsonl", row))
    return pair


def test_votes_make_the_majority_chosen_with_its_share(tmp_path):
    pair = read(tmp_path, PANDALM)
    assert pair.prompt.messages[0].content == ("Shorten this.\n\nA long text.",)
    assert (pair.chosen.text, pair.rejected.text) == ("A text.", "Long.")
    assert pair.judgment.kind == "human" and pair.judgment.confidence == pytest.approx(2 / 3)
    assert pair.origin.row_id == "4"


def test_a_verdict_in_the_arenas_words_is_a_models(tmp_path):
    pair = read(tmp_path, WILDVISION)
    assert (pair.chosen.text, pair.rejected.text) == ("A cat.", "A dog.")
    judgment = pair.judgment
    assert (judgment.kind, judgment.judge, judgment.margin) == ("model", "gpt-4o", 2.0)


def test_a_list_of_votes_reads_and_a_picture_goes_first(tmp_path):
    (tmp_path / "dog.png").write_bytes(png("red"))
    row = {
        "prompt": "What is this?",
        "response_1": "A dog.",
        "response_2": "A cat.",
        "votes": ["a", "tie", "A"],
        "image": "dog.png",
    }
    pair = read(tmp_path, row)
    assert pair.chosen.text == "A dog." and len(pair.prompt.pictures) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"annotator1": 0, "annotator2": 0},
        {"annotator1": 1, "annotator2": 2, "annotator3": 0},
        {"annotator1": 0, "annotator2": 0, "annotator3": 0},
    ],
)
def test_without_a_majority_there_is_no_preference(tmp_path, change):
    assert refusal(tmp_path, {**PANDALM, **change}, format="side-by-side").code == "judged-equal"


def test_an_arenas_tie_is_no_preference(tmp_path):
    assert (
        refusal(tmp_path, {**WILDVISION, "score": "[[A=B]]"}, format="side-by-side").code
        == "judged-equal"
    )


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({**WILDVISION, "score": "A wins"}, "field-type"),
        ({**PANDALM, "annotator2": 7}, "field-type"),
        ({**PANDALM, "response1": True}, "field-type"),
        ({**WILDVISION, "response_b": "A dog."}, "pair-identical"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, row, code):
    assert refusal(tmp_path, row, format="side-by-side").code == code
