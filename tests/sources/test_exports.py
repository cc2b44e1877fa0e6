import json

import pytest

from tests.sources.making import png, read_pairs
from vlreward.pictures import admit
from vlreward.records import Message, PreferencePair, Prompt, Response
from vlreward.sources.exports import export

FORMS = {"llamafactory": "data.json", "ms-swift": "data.jsonl"}


def message(role, *content):
    return Message(role=role, content=content)


def pair(*messages, chosen="Left.", rejected="Right."):
    return PreferencePair(
        prompt=Prompt(messages=messages),
        chosen=Response(content=(chosen,) if isinstance(chosen, str) else chosen),
        rejected=Response(content=(rejected,)),
    )


@pytest.fixture
def pairs():
    red, blue = admit(png("red")), admit(png("blue"))
    return [
        pair(message("user", red, "Which is bigger, this or ", blue, "?")),
        pair(
            message("system", "Be brief."),
            message("user", "Hm?"),
            message("assistant", "Yes?"),
            message("user", "Wörter, «so»?"),
        ),
        pair(message("user", red, "And this?"), chosen="Red."),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_pairs_come_back_from_what_other_trainers_read(tmp_path, pairs, form):
    found = export(pairs, tmp_path / form, form=form)
    assert (found.num_rows, found.refused) == (3, [])
    assert read_pairs(tmp_path / form / FORMS[form]) == pairs
    assert len(list((tmp_path / form / "images").iterdir())) == 2


def test_llamafactory_gets_objects_and_a_description(tmp_path, pairs):
    export(pairs, tmp_path, form="llamafactory")
    rows = json.loads((tmp_path / "data.json").read_text())
    assert rows[1]["system"] == "Be brief." and rows[1]["images"] == []
    assert rows[0]["conversations"] == [
        {"from": "human", "value": "<image>Which is bigger, this or <image>?"}
    ]
    assert rows[0]["chosen"] == {"from": "gpt", "value": "Left."}
    assert all(row.keys() == rows[0].keys() for row in rows)
    described = json.loads((tmp_path / "dataset_info.json").read_text())["vlreward"]
    assert described["ranking"] is True and described["formatting"] == "sharegpt"


@pytest.mark.parametrize("form", FORMS)
def test_what_a_form_cannot_say_is_refused_and_costs_no_other(tmp_path, pairs, form):
    odd = [
        pair(message("user", "What does <image> mean?")),
        pair(message("user", "Draw."), chosen=(admit(png("red")),)),
    ]
    found = export([*odd, *pairs], tmp_path, form=form)
    assert found.num_rows == 3
    assert [one.code for one in found.refused] == ["marker-in-text", "picture-in-answer"]
    assert all(one.place.startswith("pair ") for one in found.refused)


def test_turns_out_of_order_are_refused_by_llamafactory_alone(tmp_path):
    odd = [pair(message("user", "One."), message("user", "Two?"))]
    assert export(odd, tmp_path / "l", form="llamafactory").refused[0].code.startswith("turns")
    assert export(odd, tmp_path / "s", form="ms-swift").num_rows == 1


@pytest.mark.parametrize("form", FORMS)
def test_no_pairs_make_an_empty_set(tmp_path, form):
    assert export([], tmp_path, form=form).num_rows == 0
    text = (tmp_path / FORMS[form]).read_text()
    assert text == ("[]\n" if form == "llamafactory" else "")
