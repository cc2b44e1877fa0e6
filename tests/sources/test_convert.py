import pytest

from tests.sources.making import FLAT_ROW, TRL_ROW, data_uri, png, read_pair, refusal


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"chosen": " \n"}, "answer-empty"),
        ({"rejected": ""}, "answer-empty"),
        ({"prompt": " "}, "prompt-empty"),
        ({"rejected": "Left."}, "pair-identical"),
        ({"margin": float("nan")}, "number-not-finite"),
        ({"margin": float("inf")}, "number-not-finite"),
        ({"margin": 10**400}, "number-not-finite"),
        ({"margin": "big"}, "field-type"),
        ({"margin": True}, "field-type"),
        ({"confidence": 1.5}, "number-out-of-range"),
        ({"confidence": -0.1}, "number-out-of-range"),
        ({"judge": ["a"]}, "field-type"),
        ({"id": {"a": 1}}, "field-type"),
        ({"chosen": "half \ud83d"}, "text-surrogate"),
        ({"source": "half \ud83d"}, "text-surrogate"),
        ({"images": ["gone.png"]}, "picture-missing"),
        ({"images": [{"bytes": None}]}, "field-type"),
        ({"images": [data_uri("red")[:-40]]}, "picture-torn"),
        ({"images": ["http://example.org/a.png"]}, "picture-remote"),
        ({"images": 5}, "field-type"),
        ({"videos": ["a.mp4"]}, "modality-unsupported"),
        ({"tools": "[{}]"}, "modality-unsupported"),
        ({"system": 5}, "field-type"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_place_and_id(tmp_path, change, code):
    error = refusal(tmp_path, {**FLAT_ROW, **change})
    assert error.code == code
    assert error.place.startswith(str(tmp_path / "rows.jsonl") + ":2")
    if "id" not in change:
        assert ":2 (id 'r1'): " in error.place
    str(error).encode()


def test_pictures_under_a_misspelt_name_are_found_out(tmp_path):
    row = {"prompt": "<image>?", "chosen": "a", "rejected": "b", "imgaes": ["a.png"]}
    error = refusal(tmp_path, row, format="neutral")
    assert error.code == "markers-mismatch"
    assert "'imgaes': did you mean 'images'?" in str(error)


def test_a_conversation_without_a_user_is_refused(tmp_path):
    row = {**TRL_ROW, "prompt": [{"role": "system", "content": "Be brief."}]}
    assert refusal(tmp_path, row, format="trl").code == "prompt-empty"


def test_answers_that_differ_in_how_the_text_is_cut_are_identical(tmp_path):
    def answer(*texts):
        parts = [{"type": "text", "text": text} for text in texts]
        return [{"role": "assistant", "content": parts}]

    row = {**TRL_ROW, "chosen": answer("ab", "c"), "rejected": answer("a", "bc")}
    assert refusal(tmp_path, row, format="trl").code == "pair-identical"


def test_null_bytes_and_line_separators_are_text_like_any_other(tmp_path):
    pair = read_pair(tmp_path, {**FLAT_ROW, "chosen": "a\0b\u2028c"})
    assert pair.chosen.text == "a\0b\u2028c"


def test_a_picture_alone_is_an_answer(tmp_path):
    row = {**FLAT_ROW, "chosen": "<image>", "rejected": "<image>"}
    images = [data_uri("red"), data_uri("green")]
    pair = read_pair(tmp_path, {**row, "images": images})
    assert [p.data for p in pair.pictures] == [png("red"), png("green")]
    same = {**row, "images": images[:1] * 2}
    assert refusal(tmp_path, same).code == "pair-identical"


def test_judgments_are_read(tmp_path):
    row = {**FLAT_ROW, "label_type": "model", "judge": "j", "confidence": 0.75, "margin": -2}
    judgment = read_pair(tmp_path, row).judgment
    assert (judgment.kind, judgment.judge) == ("model", "j")
    assert (judgment.confidence, judgment.margin) == (0.75, -2.0)


def test_empty_columns_of_other_modalities_and_of_tools_do_not_matter(tmp_path):
    read_pair(tmp_path, {**FLAT_ROW, "videos": [], "audios": None, "tools": "[]"})
