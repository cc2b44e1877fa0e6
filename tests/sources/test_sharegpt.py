import pytest

from tests.sources.making import data_uri, read_pair, refusal, spell

ROW = {
    "conversations": [
        {"from": "human", "value": "<image>What is it?"},
        {"from": "gpt", "value": "A shape."},
        {"from": "human", "value": "Which?"},
    ],
    "chosen": {"from": "gpt", "value": "A square."},
    "rejected": {"from": "gpt", "value": "A circle."},
    "images": [data_uri("red")],
}


def test_the_ranking_form_reads_with_several_turns_and_pictures(tmp_path):
    pair = read_pair(tmp_path, ROW)
    assert [m.role for m in pair.prompt.messages] == ["user", "assistant", "user"]
    assert spell(pair.prompt.messages[0].content) == ["[red]", "What is it?"]
    assert (pair.chosen.text, pair.rejected.text) == ("A square.", "A circle.")


@pytest.mark.parametrize("wrap", [lambda answer: [answer], lambda answer: answer["value"]])
def test_an_answer_as_a_list_or_text_means_the_same(tmp_path, wrap):
    row = {**ROW, "chosen": wrap(ROW["chosen"]), "rejected": wrap(ROW["rejected"])}
    assert read_pair(tmp_path, row) == read_pair(tmp_path, ROW)


def test_the_same_form_reads_with_role_and_content(tmp_path):
    row = {
        "messages": [{"role": "user", "content": "What?"}],
        "chosen": {"role": "assistant", "content": "A square."},
        "rejected": {"role": "assistant", "content": "A circle."},
    }
    assert read_pair(tmp_path, row).chosen.text == "A square."


def test_the_column_system_is_the_first_message(tmp_path):
    pair = read_pair(tmp_path, {**ROW, "system": "Be brief."})
    assert pair.prompt.messages[0].role == "system"
    assert pair.prompt.messages[0].content == ("Be brief.",)


def test_version_one_reads_two_conversations(tmp_path):
    def conversation(answer):
        return [
            {"role": "user", "content": [{"type": "text", "value": "What?"}]},
            {"role": "assistant", "content": [{"type": "text", "value": answer}]},
        ]

    row = {"chosen_messages": conversation("Yes."), "rejected_messages": conversation("No.")}
    pair = read_pair(tmp_path, row)
    assert (pair.chosen.text, pair.rejected.text) == ("Yes.", "No.")


def test_a_conversation_that_ends_with_the_assistant_is_refused(tmp_path):
    row = {**ROW, "conversations": ROW["conversations"][:2]}
    assert refusal(tmp_path, row, format="sharegpt").code == "prompt-ends-with-assistant"


def test_a_missing_conversation_is_refused(tmp_path):
    row = {"chosen": "a", "rejected": "b", "conversation": []}
    error = refusal(tmp_path, row, format="sharegpt")
    assert error.code == "field-missing"
    assert "'conversation': did you mean 'conversations'?" in str(error)
