import pytest

from tests.sources.making import data_uri, read_pair, refusal, spell


def row(question="Which?", chosen="Left.", **more):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": question},
        {"role": "assistant", "content": chosen},
    ]
    return {"messages": messages, **more}


RED, GREEN, BLUE = data_uri("red"), data_uri("green"), data_uri("blue")


def test_the_last_message_is_the_chosen_answer(tmp_path):
    pair = read_pair(tmp_path, row(rejected_response="Right.", margin=0.5))
    assert [m.role for m in pair.prompt.messages] == ["system", "user"]
    assert (pair.chosen.text, pair.rejected.text) == ("Left.", "Right.")
    assert pair.judgment.margin == 0.5


def test_rejected_messages_read_as_a_second_conversation(tmp_path):
    both = row(rejected_messages=row(chosen="Right.")["messages"])
    assert read_pair(tmp_path, both) == read_pair(tmp_path, row(rejected_response="Right."))


def test_pictures_are_in_the_order_prompt_chosen_rejected(tmp_path):
    made = row("<image>Draw.", "<image>", rejected_response="<image>", images=[RED, GREEN, BLUE])
    pair = read_pair(tmp_path, made)
    assert spell(pair.prompt.messages[1].content) == ["[red]", "Draw."]
    assert (spell(pair.chosen.content), spell(pair.rejected.content)) == (["[green]"], ["[blue]"])


@pytest.mark.parametrize("rejected_images", [[RED, BLUE], [BLUE]])
def test_rejected_images_hold_the_rejected_conversations_or_answers_pictures(
    tmp_path, rejected_images
):
    made = row(
        "<image>Draw.",
        "<image>",
        rejected_response="<image>",
        images=[RED, GREEN],
        rejected_images=rejected_images,
    )
    pair = read_pair(tmp_path, made)
    assert (spell(pair.chosen.content), spell(pair.rejected.content)) == (["[green]"], ["[blue]"])


def test_a_single_image_and_the_same_rejected_image_read_without_markers(tmp_path):
    made = row(rejected_response="Right.", images=RED, rejected_images=[RED])
    assert spell(read_pair(tmp_path, made).prompt.messages[1].content) == ["[red]", "Which?"]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (
            row("<image>?", rejected_response="R", images=[RED], rejected_images=[BLUE]),
            "prompts-differ",
        ),
        (row("<image>?", rejected_response="R", rejected_images=[BLUE]), "markers-mismatch"),
        (row(), "field-missing"),
        ({"messages": [], "rejected_response": "R"}, "answer-not-one-message"),
        ({"messages": row()["messages"][:2], "rejected_response": "R"}, "answer-not-one-message"),
        (row(rejected_response="R", rejected_messages=row()["messages"]), "rejected-twice"),
        (row(rejected_messages=row("Else?")["messages"]), "conversations-diverge"),
    ],
)
def test_a_row_that_is_no_pair_is_refused(tmp_path, made, code):
    assert refusal(tmp_path, made, format="ms-swift").code == code
