import pytest

from vlreward.errors import DataError
from vlreward.sources.content import Draft, DraftMessage
from vlreward.sources.messages import (
    parse_answer,
    parse_conversation,
    split_shared,
    with_system,
)


def turns(*texts):
    """User and assistant by turns."""
    roles = ("user", "assistant")
    return tuple(
        DraftMessage(role=roles[index % 2], content=(text,)) for index, text in enumerate(texts)
    )


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("human", "user"),
        ("user", "user"),
        ("observation", "user"),
        ("tool", "user"),
        ("gpt", "assistant"),
        ("assistant", "assistant"),
        ("function_call", "assistant"),
        ("system", "system"),
        ("developer", "system"),
    ],
)
def test_roles_read_under_their_many_names(name, role):
    message = DraftMessage(role=role, content=("hi",))
    assert parse_conversation([{"role": name, "content": "hi"}], field="p") == (message,)
    assert parse_conversation([{"from": name, "value": "hi"}], field="p") == (message,)


def test_text_or_content_parts_are_one_message_of_the_user():
    expected = turns("hi")
    assert parse_conversation("hi", field="p") == expected
    assert parse_conversation([{"type": "text", "text": "hi"}], field="p") == expected


@pytest.mark.parametrize(
    "value",
    [
        "hi",
        [{"type": "text", "text": "hi"}],
        {"role": "assistant", "content": "hi"},
        {"from": "gpt", "value": "hi"},
        [{"role": "assistant", "content": "hi"}],
    ],
)
def test_an_answer_is_text_parts_or_one_message(value):
    assert parse_answer(value, field="chosen") == ("hi",)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"role": "user", "content": "hi"},
        [{"role": "assistant", "content": "hi"}, {"role": "user", "content": "ho"}],
    ],
)
def test_an_answer_of_other_turns_is_refused(value):
    with pytest.raises(DataError) as caught:
        parse_answer(value, field="chosen")
    assert caught.value.code == "answer-not-one-message"


@pytest.mark.parametrize(
    ("message", "code", "place"),
    [
        ({"role": "wizard", "content": "hi"}, "role-unknown", "p[0].role"),
        ({"role": "user"}, "field-missing", "p[0]: content"),
        ({"content": "hi"}, "field-missing", "p[0]: role"),
        ({"role": 3, "content": "hi"}, "field-type", "p[0]: role"),
        ({"role": "user", "content": 3}, "field-type", "p[0].content"),
        (3, "field-type", "p[0]"),
        (
            {"role": "assistant", "content": "", "tool_calls": [{}]},
            "modality-unsupported",
            "p[0]: tool_calls",
        ),
    ],
)
def test_a_message_of_another_shape_is_refused(message, code, place):
    with pytest.raises(DataError) as caught:
        parse_conversation([message], field="p")
    assert (caught.value.code, caught.value.place) == (code, place)


def test_two_conversations_share_their_longest_common_beginning():
    prompt, answers = split_shared(turns("a", "b", "c", "yes"), turns("a", "b", "c", "no"))
    assert prompt == turns("a", "b", "c")
    assert answers == (("yes",), ("no",))


def test_equal_conversations_still_end_with_an_answer_each():
    prompt, answers = split_shared(turns("a", "yes"), turns("a", "yes"))
    assert (prompt, answers) == (turns("a"), (("yes",), ("yes",)))


@pytest.mark.parametrize(
    ("chosen", "rejected", "code"),
    [
        (turns("a", "yes", "b", "c"), turns("a", "no", "b", "c"), "conversations-diverge"),
        (turns("a", "yes"), turns("a", "yes", "b", "no"), "conversations-diverge"),
        ((), (), "conversations-diverge"),
        (turns("a", "b", "c"), turns("a", "b", "d"), "answer-not-one-message"),
    ],
)
def test_conversations_that_differ_elsewhere_than_in_the_last_answer_are_refused(
    chosen, rejected, code
):
    with pytest.raises(DataError) as caught:
        split_shared(chosen, rejected)
    assert caught.value.code == code


def test_the_field_system_stands_before_the_prompt():
    draft = Draft(prompt=turns("a"), answers=(), images=())
    system = DraftMessage(role="system", content=("Be brief.",))
    assert with_system(draft, {"system": "Be brief."}) == (system, *turns("a"))
    assert with_system(draft, {"system": ""}) == with_system(draft, {}) == turns("a")
    again = Draft(prompt=(system, *turns("a")), answers=(), images=())
    assert with_system(again, {"system": "Be brief."}) == again.prompt


def test_two_different_system_messages_are_refused():
    system = DraftMessage(role="system", content=("Be brief.",))
    draft = Draft(prompt=(system, *turns("a")), answers=(), images=())
    with pytest.raises(DataError) as caught:
        with_system(draft, {"system": "Be long."})
    assert caught.value.code == "system-twice"
