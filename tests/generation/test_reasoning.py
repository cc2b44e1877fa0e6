import pytest

from tests.generation.making import connect, journal_at, picture, prompt
from vlreward.errors import DataError
from vlreward.generation.reasoning import (
    ApiGenerator,
    answer_directly,
    answer_from_descriptions,
    estimate_from_descriptions,
    regenerate,
)
from vlreward.generation.scripted import Fails, Says, ScriptedEndpoint
from vlreward.interfaces import Generator
from vlreward.records import Response


@pytest.fixture
def journal(tmp_path):
    with journal_at(tmp_path) as opened:
        yield opened


THOUGHTFUL = Says(text="<think>2+2</think>\n\nFour.", model="m-7")
KNOWN = {"tokens_per_picture": 50}


def num_pictures(call):
    content = call.body["messages"][0]["content"]
    return 0 if isinstance(content, str) else sum(one["type"] == "image_url" for one in content)


@pytest.mark.parametrize(
    ("thinking", "text"), [("strip", "Four."), ("keep", "<think>2+2</think>\n\nFour.")]
)
def test_thinking_is_kept_or_stripped_by_choice(journal, thinking, text):
    connection = connect(lambda call: THOUGHTFUL, journal)
    ((one,),) = answer_directly([prompt("2+2?")], connection=connection, thinking=thinking)
    assert (one.response, one.response.model) == (Response(content=(text,)), "m-7")


@pytest.mark.parametrize("thinking", ["strip", "keep"])
def test_an_answer_that_only_thinks_is_a_failure(journal, thinking):
    script = lambda call: Says(text="<think>well", finish_reason="length")  # noqa: E731
    ((one,),) = answer_directly(
        [prompt("2+2?")], connection=connect(script, journal), thinking=thinking
    )
    assert one.reason == "thinking-unfinished"


def test_direct_answers_see_the_picture_and_come_in_order_with_their_samples(journal):
    def script(call):
        name = "one" if "one?" in call.text else "two"
        return Says(text=f"{name} {call.nth}", seconds=9 if name == "one" else 1)

    scripted = ScriptedEndpoint(script)
    asked = [prompt(picture(), "one?"), prompt("two?")]
    answers = answer_directly(asked, connection=connect(scripted, journal, **KNOWN), num_samples=3)
    texts = [{one.response.text for one in some} for some in answers]
    assert texts == [{"one 0", "one 1", "one 2"}, {"two 0", "two 1", "two 2"}]
    assert sorted(map(num_pictures, scripted.calls)) == [0, 0, 0, 1, 1, 1]


def test_a_cut_answer_is_marked(journal):
    script = lambda call: Says(text="Fo", finish_reason="length")  # noqa: E731
    ((one,),) = answer_directly([prompt("2+2?")], connection=connect(script, journal))
    assert one.is_cut


def test_in_two_steps_the_reasoner_gets_the_description_and_no_picture(journal):
    describer = ScriptedEndpoint(lambda call: Says(text="A red {{conversation}} square."))
    reasoner = ScriptedEndpoint(lambda call: Says(text=f"Answer {call.nth}"))
    asked = prompt(picture(), "What colour?")
    ((first, second),) = answer_from_descriptions(
        [asked],
        describer=connect(describer, journal, **KNOWN),
        reasoner=connect(reasoner, journal, model="text-only"),
        num_samples=2,
    )
    assert {first.response.text, second.response.text} == {"Answer 0", "Answer 1"}
    assert [num_pictures(call) for call in describer.calls] == [1]
    assert [num_pictures(call) for call in reasoner.calls] == [0, 0]
    for call in reasoner.calls:
        assert "\nA red {{conversation}} square.\n" in call.text
        assert "\n[picture 1]What colour?\n" in call.text
        assert call.body["model"] == "text-only"


def test_a_description_that_failed_or_was_cut_is_the_failure_of_all_its_answers(journal):
    acts = {
        "refused?": Says(text=None, refusal="no"),
        "cut?": Says(text="A re", finish_reason="length"),
        "fine?": Says(text="A red square."),
    }

    def describe(call):
        return next(act for text, act in acts.items() if text in call.text)

    reasoner = ScriptedEndpoint(lambda call: Says(text="Red."))
    answers = answer_from_descriptions(
        [prompt(picture(), text) for text in acts],
        describer=connect(describe, journal, **KNOWN),
        reasoner=connect(reasoner, journal),
        num_samples=2,
    )
    reasons = [[getattr(one, "reason", "answered") for one in some] for some in answers]
    assert reasons == [["refusal"] * 2, ["description-cut"] * 2, ["answered"] * 2]
    assert len(reasoner.calls) == 2


def test_an_estimate_of_two_steps_counts_both_and_follows_what_the_journal_knows(journal):
    def describe(call):
        return Says(text="A square.") if "fine" in call.text else Says(text=None, refusal="no")

    models = {
        "describer": connect(describe, journal, expected_output_tokens=300, **KNOWN),
        "reasoner": connect(lambda call: Says(text="Red."), journal, model="text-only"),
    }
    asked = [prompt(picture(), "refused?"), prompt(picture(), "fine?"), prompt(picture(9), "fine?")]
    before = estimate_from_descriptions(asked, **models)
    assert (before.num_calls, before.num_known) == (6, 0)
    assert before.input_tokens > 3 * 300 and before.output_tokens == 3 * 300 + 3 * 256
    answer_from_descriptions(asked[:2], **models)
    after = estimate_from_descriptions(asked, **models)
    assert (after.num_calls, after.num_known) == (2, 3)
    assert after.output_tokens == 20 + 20


def test_a_new_answer_is_written_from_the_question_and_the_old_one(journal):
    def script(call):
        return Says(text="new to " + ("one" if "\nold one\n" in call.text else "two"))

    answers = regenerate(
        [(prompt("Q?"), Response(content=(text,))) for text in ("old one", "old two")],
        connection=connect(script, journal),
    )
    assert [one.response.text for one in answers] == ["new to one", "new to two"]


def test_a_generator_gives_the_same_answers_for_the_same_seed(journal):
    texts = iter(range(100))
    scripted = ScriptedEndpoint(lambda call: Says(text=str(next(texts))))
    generator: Generator = ApiGenerator(connection=connect(scripted, journal))
    first = generator.generate(prompt("Q?"), num_responses=3, seed=1)
    assert generator.generate(prompt("Q?"), num_responses=3, seed=1) == first
    assert generator.generate(prompt("Q?"), num_responses=4, seed=1)[:3] == first
    other = generator.generate(prompt("Q?"), num_responses=3, seed=2)
    assert not {one.text for one in other} & {one.text for one in first}


def test_a_generator_raises_where_an_answer_failed(journal):
    generator = ApiGenerator(connection=connect(lambda call: Fails(status=400), journal))
    with pytest.raises(DataError, match="no-answer-rejected"):
        generator.generate(prompt("Q?"), num_responses=1, seed=0)
