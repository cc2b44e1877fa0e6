import pytest

from tests.generation.making import picture, prompt, verdict
from vlreward.evaluation.judges.forms import FORMS, read_brackets, read_json, read_overall
from vlreward.records import Picture, Response

FIRST, SECOND = Response(content=("One.",)), Response(content=("Two.",))


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("Overall Judgment: Answer 1 is better.", "first"),
        ("**Overall Judgment**:\n**Answer 2 is\nbetter**.", "second"),
        ("overall judgment: answer 2 is slightly better", "second"),
        ("Therefore, Answer 1 is clearly the better of the two.", "first"),
        ("Answer 1 is better at colours. Overall Judgment: Answer 2 is better.", "second"),
        ("Overall Judgment: Answer 1 is better. No: Answer 2 is better.", "second"),
        ("Therefore Answer 1 is longer, but Answer 2 is better.", "second"),
        ("Answer 1 is better.", None),
        ("Overall Judgment: both are good.", None),
        ("Overall Judgment: Answer 3 is better.", None),
        ("", None),
    ],
)
def test_an_overall_judgment_is_the_last_one_behind_its_heading(text, better):
    assert read_overall(text) == better


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("A is good. [[A]]", "first"),
        ("[[A]]? No, [[B]]", "second"),
        ("[[C]]", "equal"),
        ("[A]", None),
        ("[[D]] [[ab]]", None),
    ],
)
def test_the_last_letter_in_double_brackets_is_the_verdict(text, better):
    assert read_brackets(text) == better


@pytest.mark.parametrize("better", ["first", "second", "equal"])
def test_a_verdict_in_json_names_the_better_one(better):
    assert read_json(verdict(better)) == better


def test_no_form_reads_another_forms_verdict():
    said = {
        "json": verdict("first"),
        "overall-judgment": "Overall Judgment: Answer 1 is better.",
        "brackets": "[[A]]",
    }
    for name, form in FORMS.items():
        assert {other for other, text in said.items() if form.read(text)} == {name}


@pytest.mark.parametrize("name", list(FORMS))
def test_every_form_shows_both_answers_and_all_pictures(name):
    one, other = picture(8), picture(16)
    form = FORMS[name]
    asked = form.ask(
        prompt("See ", one, " and ", other, "."), FIRST, SECOND, template=form.load_template(None)
    )
    (message,) = asked
    assert [part for part in message.content if isinstance(part, Picture)] == [one, other]
    text = "".join(part for part in message.content if isinstance(part, str))
    assert text.index("One.") < text.index("Two.")
    is_last = all(isinstance(part, Picture) for part in message.content[-2:])
    assert is_last == form.pictures_last == ("See [picture 1] and [picture 2]." in text)
