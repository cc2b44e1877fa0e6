import json

import pytest

from tests.generation.making import connect, journal_at, prompt
from vlreward.generation.labels import (
    Rating,
    name_fields,
    read_field,
    read_rating,
)
from vlreward.generation.scripted import Says


@pytest.fixture
def journal(tmp_path):
    with journal_at(tmp_path) as opened:
        yield opened


def rating(value, reason="sound"):
    return json.dumps({"reason": reason, "rating": value})


@pytest.mark.parametrize("value", [0, 11, 7.5, "7", True, None, [7]])
def test_a_rating_is_a_whole_number_from_1_to_10(value):
    assert read_rating(f"So: {rating(7)}") == Rating(value=7, reason="sound")
    assert read_rating(rating(value)) is None


def test_what_else_a_rating_comes_with_does_not_matter():
    assert read_rating('{"rating": 8, "confidence": 0.9}') == Rating(value=8, reason="")
    assert read_rating('{"rating": 8, "reason": null}') == Rating(value=8, reason="")
    assert read_rating('{"confidence": 0.9}') is None and read_rating("8") is None


def test_a_field_is_one_of_those_asked_for(journal):
    def named(field):
        return json.dumps({"reason": "r", "field": field})

    fields = ("botany", "other")
    assert read_field(named("botany"), fields=fields) == "botany"
    assert read_field(named("Botany"), fields=fields) is None
    assert read_field(named(["botany"]), fields=fields) is None
    answers = {"Why green?": "botany", "Why blue?": "physics"}

    def script(call):
        assert "The fields: botany, other." in call.text
        return Says(text=next(named(f) for text, f in answers.items() if text in call.text))

    found = name_fields(
        [prompt(text) for text in answers], connection=connect(script, journal), fields=fields
    )
    assert (found[0], found[1].reason) == ("botany", "field-unreadable")
