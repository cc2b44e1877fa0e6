import pytest

from vlreward.sources.detect import forms_of, unknown_form

TURNS = [{"role": "user", "content": "?"}]
ANSWER = [{"role": "assistant", "content": "!"}]


@pytest.mark.parametrize(
    ("row", "forms"),
    [
        ({"prompt": TURNS, "chosen": ANSWER, "rejected": ANSWER}, ["trl"]),
        ({"chosen": TURNS + ANSWER, "rejected": TURNS + ANSWER, "source": "x"}, ["trl"]),
        ({"prompt": "?", "chosen": "a", "rejected": "b"}, ["trl"]),
        ({"prompt": "?", "chosen": ANSWER, "rejected": ANSWER, "messages": TURNS}, ["trl"]),
        ({"prompt": "?", "chosen": "a", "rejected": "b", "images": []}, ["neutral"]),
        ({"prompt": "?", "chosen": "a", "rejected": "b", "label_type": "human"}, ["neutral"]),
        ({"conversations": TURNS, "chosen": {}, "rejected": {}}, ["sharegpt"]),
        ({"messages": TURNS, "chosen": {}, "rejected": {}}, ["sharegpt"]),
        ({"chosen_messages": TURNS, "rejected_messages": TURNS}, ["sharegpt"]),
        ({"messages": TURNS, "rejected_response": "b"}, ["ms-swift"]),
        ({"messages": TURNS, "rejected_messages": TURNS}, ["ms-swift"]),
        (
            {
                "prompt": TURNS,
                "chosen": ANSWER,
                "rejected": ANSWER,
                "id": "1",
                "source": "s",
                "label_type": "human",
            },
            ["vlreward"],
        ),
        ({"prompt": "?", "response": "a"}, []),
        ({"question": "?", "chosen": "a", "rejected": "b"}, ["question"]),
        ({"text": '{"question": "?", "chosen": "a", "rejected": "b"}', "image": "x"}, ["question"]),
        ({"text": "plain"}, []),
        ({"prompt": "?", "chosen": "a", "rejected": None}, []),
        ({}, []),
        (
            {"conversations": TURNS, "prompt": "?", "chosen": {}, "rejected": {}},
            ["sharegpt", "trl"],
        ),
        (
            {"messages": TURNS, "rejected_response": "b", "chosen": "a", "rejected": "b"},
            ["ms-swift", "sharegpt"],
        ),
    ],
)
def test_the_form_is_told_from_the_fields(row, forms):
    assert forms_of(row) == forms


def test_an_unknown_form_lists_the_fields_found_and_the_forms_known():
    error = unknown_form({"prompt": "?", "best": 1}, place="a.jsonl:1")
    assert error.code == "format-unknown"
    assert "the fields prompt, best" in str(error)
    for form in ("trl", "sharegpt", "ms-swift", "neutral", "vlreward"):
        assert form in str(error)


def test_an_unknown_form_names_a_misspelt_field():
    error = unknown_form({"prompt": "?", "chossen": "a", "rejected": "b"}, place="a.jsonl:1")
    assert "'chossen': did you mean 'chosen'?" in str(error)


def test_an_ambiguous_form_says_which_forms_fit():
    row = {"conversations": TURNS, "prompt": "?", "chosen": {}, "rejected": {}}
    error = unknown_form(row, place="a.jsonl:1")
    assert error.code == "format-ambiguous"
    assert "fits sharegpt and trl" in str(error)
