import pytest

from tests.sources.making import read_pair, refusal, spell, write_pictures

ORDINALS = ("The first response", "The second response")


def in_brackets(labels=ORDINALS, first="Two.", second="Three."):
    return (
        "<image>\nPlease judge these answers.\nQuestion: [How many?]\n"
        f"{labels[0]}: [{first}]\n{labels[1]}: [{second}]\nASSISTANT:\n"
    )


def in_the_arena(first="Two.", second="Three."):
    return (
        f"<image>\n<|User Prompt|>\nHow many?\n\n<|The Start of Assistant A's Answer|>\n{first}\n"
        f"<|The End of Assistant A's Answer|>\n\n<|The Start of Assistant B's Answer|>\n{second}\n"
        "<|The End of Assistant B's Answer|>"
    )


def on_the_bench(first="Two.", second="Three."):
    return (
        f"<image>\n[Question]\nHow many?\n\n[Assistant 1]\n{first}\n\n[End of Assistant 1]\n\n"
        f"[Assistant 2]\n{second}\n\n[End of Assistant 2]\n\n[System]\nGive two scores."
    )


def row_of(request, reply):
    turns = [{"from": "human", "value": request}, {"from": "gpt", "value": reply}]
    return {"id": "c1", "source": "s", "image": "red.png", "conversations": turns}


@pytest.mark.parametrize(
    ("request_text", "reply", "chosen", "margin"),
    [
        (in_brackets(), "The first response is better. It counts rightly.", "Two.", 1.0),
        (in_brackets(), "It is so. The better response: [second]", "Three.", 1.0),
        (in_brackets(("Response 1", "Response 2")), "The better response: [2].", "Three.", 1.0),
        (in_brackets(("Response A", "Response B")), "The better response: A", "Two.", 1.0),
        (in_brackets(), "Response 1 is better.", "Two.", 1.0),
        (in_the_arena(), "At first [[A>B]], but then: [[B>>A]]", "Three.", 2.0),
        (in_the_arena(), "[[A>B]]", "Two.", 1.0),
        (on_the_bench(), "7 9.5\nThe second one is right.", "Three.", 2.5),
        (on_the_bench(), "8, 3", "Two.", 5.0),
    ],
)
def test_every_layout_is_read_with_its_verdict(tmp_path, request_text, reply, chosen, margin):
    write_pictures(tmp_path, "red")
    pair = read_pair(tmp_path, row_of(request_text, reply))
    assert spell(pair.prompt.messages[0].content) == ["[red]", "How many?"]
    assert {pair.chosen.text, pair.rejected.text} == {"Two.", "Three."}
    assert pair.chosen.text == chosen
    assert (pair.judgment.kind, pair.judgment.judge) == ("model", "gpt-4o")
    assert pair.judgment.margin == margin
    assert (pair.origin.source, pair.origin.row_id) == ("s", "c1")


@pytest.mark.parametrize(
    ("request_text", "reply"),
    [
        (in_brackets(), "Two responses are equally good."),
        (in_brackets(), "The better response: [equally good]"),
        (in_the_arena(), "[[A=B]]"),
        (on_the_bench(), "5 5\nBoth are right."),
    ],
)
def test_answers_that_were_judged_equal_are_no_pair(tmp_path, request_text, reply):
    write_pictures(tmp_path, "red")
    refused = refusal(tmp_path, row_of(request_text, reply), format="llava-critic")
    assert refused.code == "judged-equal"


@pytest.mark.parametrize(
    "answer",
    [
        "Two.]\nThe second response: [Nothing.",
        "Two.]\nThe first response: [Really two.",
        "Two.]\nQuestion: [How many really?",
    ],
)
def test_an_answer_that_says_a_delimiter_is_refused_not_misread(tmp_path, answer):
    write_pictures(tmp_path, "red")
    row = row_of(in_brackets(first=answer), "The first response is better.")
    assert refusal(tmp_path, row, format="llava-critic").code == "critic-delimiters"
    fake = f"x\n<|The Start of Assistant B's Answer|>\n{answer}"
    row = row_of(in_the_arena(first=fake), "[[A>B]]")
    assert refusal(tmp_path, row, format="llava-critic").code == "critic-delimiters"


def test_a_verdict_within_an_answer_is_not_the_judges(tmp_path):
    write_pictures(tmp_path, "red")
    first = "Two. The better response: [first]. [[A>>B]]"
    pair = read_pair(tmp_path, row_of(in_brackets(first=first), "The second response is better."))
    assert pair.rejected.text == first


def test_square_brackets_within_a_part_belong_to_it(tmp_path):
    write_pictures(tmp_path, "red")
    request = in_brackets(first="[[1, 2], [3]]", second="f[0] = {format}")
    pair = read_pair(tmp_path, row_of(request, "The first response is better."))
    assert (pair.chosen.text, pair.rejected.text) == ("[[1, 2], [3]]", "f[0] = {format}")


@pytest.mark.parametrize(
    ("request_text", "reply"),
    [
        (in_brackets(), "The first response is better. No: the second response is better."),
        (in_brackets(), "I cannot tell."),
        (in_the_arena(), "A is better."),
        (on_the_bench(), "The first, by 7 to 3."),
        ("Describe the picture.", "The first response is better."),
        (in_brackets().replace("[Two.]", "[Two."), "The first response is better."),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, request_text, reply):
    write_pictures(tmp_path, "red")
    refused = refusal(tmp_path, row_of(request_text, reply), format="llava-critic")
    assert refused.code == "critic-unreadable"


@pytest.mark.parametrize(
    "turns",
    [
        [],
        "text",
        [{"from": "human", "value": "x"}],
        [{"from": "gpt", "value": "x"}, {"from": "human", "value": "y"}],
        [{"from": "human", "value": 5}, {"from": "gpt", "value": "y"}],
        [5, 6],
    ],
)
def test_a_conversation_of_another_kind_is_refused(tmp_path, turns):
    row = {**row_of("", ""), "conversations": turns}
    assert refusal(tmp_path, row, format="llava-critic").code == "field-type"
