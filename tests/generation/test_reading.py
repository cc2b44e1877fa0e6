import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlreward.generation.outcomes import Reply
from vlreward.generation.reading import last_object, with_thinking, without_thinking


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('First {"a": 1}, then {"b": 2}. Done.', {"b": 2}),
        ('```json\n{"a": {"b": [1, {"c": 2}]}}\n```', {"a": {"b": [1, {"c": 2}]}}),
        ('{ not json {"a": "}{"}', {"a": "}{"}),
        ('{"a": 1} and {"b": ', {"a": 1}),
        ('{"a": 1, "a": 2}', None),
        ('{"a": NaN}', None),
        ('{"a": -Infinity}', None),
        ("no object", None),
        ("[1, 2]", None),
        ("", None),
        ("{" * 5000, None),
        ('{"a":' * 3000, None),
        ('{"a": ' + "9" * 5000 + "}", None),
        ('<think>{"a": 1}</think>{"b": 2}', {"b": 2}),
        ('{"a": 1}</think>{"b": 2}', {"b": 2}),
        ('<think>{"a": 1}</think>no', None),
        ('<think>{"a": 1}', None),
        ('{"a": "it said </think>"}', {"a": "it said </think>"}),
        ('<think>x</think>{"a": "<think></think>"}', {"a": "<think></think>"}),
        ('it began <think> {"a": 1}', {"a": 1}),
    ],
)
def test_the_last_well_formed_object_is_found(text, found):
    assert last_object(text) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(), st.dictionaries(st.text(), JSON), st.text(alphabet="abc }]\n`"))
def test_any_object_is_found_whatever_stands_before_it(before, value, after):
    assert last_object(before.replace("{", "") + json.dumps(value) + after) == value


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4", "4"),
        (" <think>2+2</think>\n\n4 ", "4"),
        ("2+2</think>4", "4"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<think>2+2 is", None),
        ("I <think> so", "I <think> so"),
        ("<think>2+2</think>", ""),
    ],
)
def test_thinking_is_taken_off_and_an_unfinished_one_leaves_no_answer(text, answer):
    assert without_thinking(text) == answer


def test_thinking_that_came_apart_is_put_in_front():
    apart = Reply(text="4", finish_reason="stop", model="m", reasoning="2+2\n")
    inside = Reply(text="<think>x</think>4", finish_reason="stop", model="m", reasoning="x")
    assert with_thinking(apart) == "<think>\n2+2\n</think>\n\n4"
    assert with_thinking(inside) == inside.text
