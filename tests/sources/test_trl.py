import pytest

from tests.sources.making import (
    TRL_ROW,
    TURN,
    data_uri,
    read_pair,
    refusal,
    spell,
    write_pictures,
)


def assistant(text):
    return {"role": "assistant", "content": text}


def test_the_conversational_form_reads(tmp_path):
    pair = read_pair(tmp_path, TRL_ROW)
    assert [m.role for m in pair.prompt.messages] == ["user"]
    assert (pair.chosen.text, pair.rejected.text) == ("The left.", "The right.")


def test_text_and_messages_mean_the_same_pair(tmp_path):
    plain = {"prompt": "Which is bigger?", "chosen": "The left.", "rejected": "The right."}
    assert read_pair(tmp_path, plain) == read_pair(tmp_path, TRL_ROW)


def test_an_implicit_prompt_is_what_both_conversations_share(tmp_path):
    shared = [{"role": "system", "content": "Be brief."}, TURN, assistant("Of what?"), TURN]
    row = {
        "chosen": [*shared, assistant("The left.")],
        "rejected": [*shared, assistant("The right.")],
    }
    pair = read_pair(tmp_path, row)
    assert [m.role for m in pair.prompt.messages] == ["system", "user", "assistant", "user"]
    assert (pair.chosen.text, pair.rejected.text) == ("The left.", "The right.")


@pytest.mark.parametrize("prompt", ["Which is bigger? ", [TURN]])
def test_a_prompt_that_the_answers_repeat_is_not_doubled(tmp_path, prompt):
    row = {
        "prompt": prompt,
        "chosen": [TURN, assistant("The left.")],
        "rejected": [TURN, assistant("The right.")],
    }
    assert read_pair(tmp_path, row) == read_pair(tmp_path, TRL_ROW)


def test_a_prompt_that_the_conversations_do_not_hold_is_refused(tmp_path):
    row = {
        "prompt": "Something else",
        "chosen": [TURN, assistant("The left.")],
        "rejected": [TURN, assistant("The right.")],
    }
    assert refusal(tmp_path, row, format="trl").code == "prompt-disagrees"


def test_image_parts_take_pictures_in_the_order_prompt_chosen_rejected(tmp_path):
    write_pictures(tmp_path, "red", "green", "blue")
    picture = {"type": "image"}
    text = {"type": "text", "text": "Draw a square."}
    row = {
        "prompt": [{"role": "user", "content": [picture, text]}],
        "chosen": [{"role": "assistant", "content": [picture]}],
        "rejected": [{"role": "assistant", "content": [picture, text]}],
        "images": ["red.png", "green.png", "blue.png"],
    }
    pair = read_pair(tmp_path, row)
    assert spell(pair.prompt.messages[0].content) == ["[red]", "Draw a square."]
    assert spell(pair.chosen.content) == ["[green]"]
    assert spell(pair.rejected.content) == ["[blue]", "Draw a square."]


def test_a_shared_picture_of_an_implicit_prompt_is_listed_once(tmp_path):
    turn = {"role": "user", "content": "<image>What?"}
    row = {
        "chosen": [turn, assistant("A cat.")],
        "rejected": [turn, assistant("A dog.")],
        "images": [data_uri("red")],
    }
    assert spell(read_pair(tmp_path, row).prompt.messages[0].content) == ["[red]", "What?"]


def test_a_picture_without_marker_comes_first(tmp_path):
    pair = read_pair(tmp_path, {**TRL_ROW, "image": data_uri("red")})
    assert spell(pair.prompt.messages[0].content) == ["[red]", "Which is bigger?"]


def test_a_missing_prompt_is_refused_by_name(tmp_path):
    row = {"chosen": "Left.", "rejected": "Right.", "promt": "Which?"}
    error = refusal(tmp_path, row, format="trl")
    assert error.code == "field-missing"
    assert "'promt': did you mean 'prompt'?" in str(error)
