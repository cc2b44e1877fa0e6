import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.making import data_uri
from vlreward.errors import DataError
from vlreward.sources.content import (
    Draft,
    DraftMessage,
    Hole,
    bind,
    num_holes,
    parse_content,
    split_markers,
)


def draft(*contents, answers=(("yes",), ("no",)), images=()):
    prompt = tuple(DraftMessage(role="user", content=content) for content in contents)
    return Draft(prompt=prompt, answers=answers, images=images)


def test_markers_split_text_into_pieces_and_holes():
    hole = Hole()
    assert split_markers("<image>a<image><image>b") == (hole, "a", hole, hole, "b")
    assert split_markers("plain") == ("plain",)
    assert split_markers("") == ()


@given(st.lists(st.sampled_from(["<image>", "<imag", "e>", "a", "\n", "\0"])).map("".join))
def test_splitting_keeps_every_character_and_finds_every_marker(text):
    content = split_markers(text)
    joined = "".join(part if isinstance(part, str) else "<image>" for part in content)
    assert joined == text
    assert num_holes([content]) == text.count("<image>")


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ({"type": "image"}, None),
        ({"type": "image", "image": None, "text": None}, None),
        ({"type": "image", "image": "a.png"}, "a.png"),
        ({"type": "image", "url": "a.png"}, "a.png"),
        ({"type": "image", "image": {"bytes": b"x", "path": None}}, b"x"),
        ({"type": "image_url", "image_url": {"url": data_uri("red")}}, data_uri("red")),
        ({"type": "image_url", "image_url": data_uri("red")}, data_uri("red")),
    ],
)
def test_an_image_part_is_a_hole_with_the_picture_that_it_names(part, source):
    text = {"type": "text", "text": "what?"}
    assert parse_content([part, text], field="x") == (Hole(source=source), "what?")


def test_markers_in_text_parts_count_only_where_no_part_is_an_image():
    text = {"type": "text", "text": "<image>what?"}
    assert parse_content([text], field="x") == (Hole(), "what?")
    assert parse_content([{"type": "image"}, text], field="x") == (Hole(), "<image>what?")
    assert parse_content([text], field="x", literal=True) == ("<image>what?",)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (7, "field-type"),
        (None, "field-type"),
        ([7], "field-type"),
        ([{"type": "text"}], "field-type"),
        ([{"type": "video"}], "part-unknown"),
        ([{"text": "a"}], "part-unknown"),
        ("half \ud83d", "text-surrogate"),
    ],
)
def test_content_of_another_shape_is_refused(value, code):
    with pytest.raises(DataError) as caught:
        parse_content(value, field="chosen")
    assert caught.value.code == code
    assert caught.value.place.startswith("chosen")


def test_pictures_fill_holes_in_reading_order_through_prompt_and_answers():
    bound = bind(
        draft(
            ("see", Hole()),
            (Hole(), "and"),
            answers=((Hole(),), ("or", Hole())),
            images=("a", "b", "c", "d"),
        )
    )
    assert [message.content for message in bound.prompt] == [
        ("see", Hole(source="a")),
        (Hole(source="b"), "and"),
    ]
    assert bound.answers == ((Hole(source="c"),), ("or", Hole(source="d")))


def test_parts_that_bring_their_picture_take_none_from_the_list():
    bound = bind(draft((Hole(source="own"), Hole()), images=("a",)))
    assert bound.prompt[0].content == (Hole(source="own"), Hole(source="a"))


def test_pictures_without_any_marker_go_first_in_the_first_user_message():
    made = draft(("hello",), ("and?",), images=("a", "b"))
    system = DraftMessage(role="system", content=("Be brief.",))
    bound = bind(Draft(prompt=(system, *made.prompt), answers=made.answers, images=made.images))
    assert bound.prompt[0] == system
    assert bound.prompt[1].content == (Hole(source="a"), Hole(source="b"), "hello")
    assert bound.prompt[2].content == ("and?",)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (draft((Hole(), "x")), "1 picture places in the text, 0 pictures"),
        (draft((Hole(), "x"), images=("a", "b")), "1 picture places in the text, 2 pictures"),
        (draft(("x",), answers=((Hole(),), ("no",)), images=("a", "b")), "1 picture places"),
        (draft((Hole(source="own"),), images=("a",)), "0 picture places in the text, 1 pictures"),
        (draft(images=("a",)), "0 picture places in the text, 1 pictures"),
    ],
)
def test_a_mismatch_of_places_and_pictures_is_refused_with_both_numbers(made, found):
    with pytest.raises(DataError, match=found) as caught:
        bind(made)
    assert caught.value.code == "markers-mismatch"
