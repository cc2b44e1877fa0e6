"""The endpoint's models: right about all that they know, wrong as often as they are told to be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import pytest

from tests.support.endpoint import Client, comparison, pairs, question, request, truth
from vlreward.world.answers import Quality
from vlreward.world.endpoint.config import RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.phrases import Phrases
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import Problem
from vlreward.world.preferences import WorldPair

TEMPLATES = {
    "tags": "<q>{question}</q><a>{first}</a><b>{second}</b>",
    "markers": (
        "You are a judge.\n1. Read.\n2. Decide which of 2 answers is better.\n\n[Question]\n"
        "{question}\n\n[Answer A]\n{first}\n[End of A]\n\n[Answer B]\n{second}\n[End of B]\n\n"
        "1. First. 2. Second. Say which one!"
    ),
    "numbers": "{question}\n1. {first}\n2. {second}\nWhich row?",
    "one line": "{question} Is it: {first} Or rather: {second} Be fair.",
}


@contextmanager
def client(config: WorldEndpointConfig | None = None) -> Iterator[Client]:
    with WorldEndpoint(truth(), config) as endpoint, Client(endpoint) as opened:
        yield opened


@pytest.fixture(scope="module")
def faultless() -> Iterator[Client]:
    with client() as opened:
        yield opened


def verdict(opened: Client, body: object) -> str:
    better = json.loads(opened.ask(body).content)["better"]
    assert isinstance(better, str)
    return better


def problem(one: WorldPair) -> Problem:
    pictures = tuple(picture.sha256 for picture in one.pair.prompt.pictures)
    found = truth().find(pictures, question(one))
    assert found is not None
    return found.problem


def questions() -> list[WorldPair]:
    """One pair a question."""
    return list({(one.pair.prompt.pictures, question(one)): one for one in pairs()}.values())


def schema(*names: str) -> dict[str, object]:
    properties = {name: {"type": "string"} for name in names}
    return {
        "type": "json_schema",
        "json_schema": {"name": "v", "schema": {"type": "object", "properties": properties}},
    }


@pytest.mark.parametrize("order", ["as chosen", "swapped"])
def test_the_judge_is_right_about_every_pair_in_both_orders(faultless: Client, order: str) -> None:
    seen: Counter[tuple[Quality, Quality]] = Counter()
    for one in pairs():
        if order == "as chosen":
            body, better = comparison(one, one.pair.chosen, one.pair.rejected), "first"
        else:
            body, better = comparison(one, one.pair.rejected, one.pair.chosen), "second"
        assert verdict(faultless, body) == better, body["messages"][0]["content"][-1]
        seen[one.chosen, one.rejected] += 1
    assert {rejected for _, rejected in seen} == set(get_args(Quality)) - {"right"}
    assert {chosen for chosen, _ in seen} == {"right", "rambling"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_judge_understands_other_templates(faultless: Client, name: str) -> None:
    for one in pairs()[::7]:
        body = comparison(one, one.pair.rejected, one.pair.chosen, template=TEMPLATES[name])
        assert verdict(faultless, body) == "second", body["messages"][0]["content"][-1]


def test_equal_answers_are_equal(faultless: Client) -> None:
    for one in pairs()[::9]:
        assert verdict(faultless, comparison(one, one.pair.chosen, one.pair.chosen)) == "equal"
        wrong = problem(one).wrong[0].texts[-1]
        assert verdict(faultless, comparison(one, wrong, one.pair.chosen)) == "second"
        if one.rejected in ("wrong", "off the question", "refusal"):
            assert verdict(faultless, comparison(one, wrong, one.pair.rejected)) == "equal"


def test_the_judge_reads_no_thoughts(faultless: Client) -> None:
    for one in pairs()[::9]:
        thoughts = f"<think>{one.pair.chosen.text}</think>\n{one.pair.rejected.text}"
        body = comparison(one, thoughts, one.pair.chosen)
        assert verdict(faultless, body) == "second"


def test_the_judge_cannot_tell_about_what_it_does_not_know(faultless: Client) -> None:
    one, other = pairs()[0], next(pair for pair in pairs() if pair.family == "sectors")
    known = comparison(one, one.pair.chosen, one.pair.rejected)
    no_picture = {**known, "messages": [{"role": "user", "content": TEMPLATES["tags"]}]}
    foreign = comparison(other, one.pair.chosen, one.pair.rejected)
    new_answer = comparison(one, "I think that it is lovely.", one.pair.rejected)
    for body in (no_picture, foreign, new_answer):
        reply = json.loads(faultless.ask(body).content)
        assert (reply["better"], reply["confidence"]) == ("equal", 0.0)
        assert "I do not know" in reply["reason"]
    assert verdict(faultless, known) == "first"


def test_the_judge_fills_in_what_the_schema_has(faultless: Client) -> None:
    one = pairs()[0]
    for names in (("better", "confidence"), ("better", "confidence", "reason")):
        body = comparison(one, one.pair.chosen, one.pair.rejected, response_format=schema(*names))
        assert tuple(json.loads(faultless.ask(body).content)) == names


def test_the_judge_speaks_in_lines_where_nobody_wants_json(faultless: Client) -> None:
    one = pairs()[0]
    body = comparison(one, one.pair.chosen, one.pair.rejected)
    del body["response_format"]
    lines = faultless.ask(body).content.splitlines()
    assert lines[0] == "better: first"
    assert [line.split(":")[0] for line in lines] == ["better", "confidence", "reason"]
    body["messages"].insert(0, {"role": "system", "content": "Reply in JSON."})
    assert verdict(faultless, body) == "first"


@pytest.mark.parametrize("name", ["rating", "score"])
def test_better_qualities_are_rated_higher(faultless: Client, name: str) -> None:
    ratings: dict[Quality, set[int]] = {}
    for one in pairs():
        for said, quality in ((one.pair.chosen, one.chosen), (one.pair.rejected, one.rejected)):
            text = f"{question(one)}\nAnswer: {said.text}\nRate it from 1 to 10."
            body = request(
                "world-judge", text, one.pair.prompt.pictures, response_format=schema(name)
            )
            ratings.setdefault(quality, set()).add(json.loads(faultless.ask(body).content)[name])
    assert ratings == {
        "right": {10},
        "rambling": {7},
        "repeating": {7},
        "wrong reasoning": {5},
        "wrong": {2},
        "off the question": {2},
        "refusal": {2},
    }


def test_words_alone_can_ask_for_a_rating(faultless: Client) -> None:
    one = pairs()[0]
    text = f"{question(one)}\nAnswer: {one.pair.rejected.text}\nRate it from 1 to 10. JSON, please."
    reply = faultless.ask(request("world-judge", text, one.pair.prompt.pictures))
    assert json.loads(reply.content)["rating"] == 2


@pytest.mark.parametrize("asks", ["schema", "words"])
def test_the_judge_names_the_field_of_study(faultless: Client, asks: str) -> None:
    skills: dict[str, set[object]] = {}
    for one in questions():
        text = f"Say of which field of study this is, in JSON.\n{question(one)}"
        more = {"response_format": schema("reason", "field")} if asks == "schema" else {}
        body = request("world-judge", text, one.pair.prompt.pictures, **more)
        reply = json.loads(faultless.ask(body).content)
        assert set(reply) == {"reason", "field"}
        skills.setdefault(reply["field"], set()).add(one.skill or one.family)
    assert skills["mathematics"] == {"counting", "arithmetic", "text arithmetic"}
    assert {"reading", "perception", "comparison", "text harmful"} <= skills["other"]
    assert not skills["other"] & skills["mathematics"]


def test_a_judge_that_always_errs_names_the_other_field() -> None:
    one = next(one for one in questions() if one.skill == "counting")
    body = request(
        "world-judge", question(one), one.pair.prompt.pictures, response_format=schema("field")
    )
    with client(WorldEndpointConfig(judge=RoleConfig(error_rate=1.0))) as opened:
        assert json.loads(opened.ask(body).content) == {"field": "other"}


@pytest.mark.parametrize("errors", ["pair", "call"])
def test_the_judge_errs_as_often_as_it_should(errors: str) -> None:
    judge = RoleConfig(error_rate=0.2)
    both_orders: Counter[tuple[bool, bool]] = Counter()
    with client(WorldEndpointConfig(judge=judge, judge_errors=errors)) as opened:  # type: ignore[arg-type]
        for one in pairs():
            answers = (one.pair.chosen, one.pair.rejected)
            first = verdict(opened, comparison(one, *answers)) == "second"
            second = verdict(opened, comparison(one, *answers[::-1])) == "first"
            both_orders[first, second] += 1
    total = both_orders.total()
    wrong = 2 * both_orders[True, True] + both_orders[True, False] + both_orders[False, True]
    assert total > 500 and 0.15 < wrong / (2 * total) < 0.25
    contradictions = (both_orders[True, False] + both_orders[False, True]) / total
    if errors == "pair":
        assert contradictions == 0
    else:
        assert 0.24 < contradictions < 0.40


def test_a_judge_that_always_errs_prefers_one_of_two_equals_in_both_orders() -> None:
    with client(WorldEndpointConfig(judge=RoleConfig(error_rate=1.0))) as opened:
        for one in pairs()[:20]:
            answers = [solution.texts[0] for solution in problem(one).wrong[:1]]
            answers += ["Unfortunately, I cannot tell."]
            found = [verdict(opened, comparison(one, *order)) for order in (answers, answers[::-1])]
            assert sorted(found) == ["first", "second"]
            assert verdict(opened, comparison(one, answers[0], answers[0])) == "equal"


def test_a_rating_that_errs_is_the_opposite() -> None:
    one = next(one for one in pairs() if one.chosen == "right")
    text = f"{question(one)}\nAnswer: {one.pair.chosen.text}\n"
    body = request("world-judge", text, one.pair.prompt.pictures, response_format=schema("rating"))
    with client(WorldEndpointConfig(judge=RoleConfig(error_rate=1.0))) as opened:
        assert json.loads(opened.ask(body).content)["rating"] == 1


def test_the_vlm_answers_every_question_in_several_ways(faultless: Client) -> None:
    for one in questions():
        body = request("world-vlm", f"{question(one)} Be brief.", one.pair.prompt.pictures, n=6)
        choices = faultless.ask(body).body["choices"]
        texts = {choice["message"]["content"] for choice in choices}
        assert [choice["index"] for choice in choices] == list(range(6))
        assert texts <= set(problem(one).right.texts)
        assert len(texts) > 1 or len(problem(one).right.texts) < 3


def test_the_vlm_errs_plausibly_and_as_often_as_it_should() -> None:
    wrong = total = 0
    with client(WorldEndpointConfig(vlm=RoleConfig(error_rate=0.3))) as opened:
        for one in questions():
            body = request("world-vlm", question(one), one.pair.prompt.pictures, n=3)
            plausible = {text for said in problem(one).wrong for text in said.texts}
            for choice in opened.ask(body).body["choices"]:
                text = choice["message"]["content"]
                assert text in plausible | set(problem(one).right.texts)
                wrong += text in plausible
                total += 1
    assert total > 600 and 0.25 < wrong / total < 0.35


def test_the_judge_knows_what_the_vlm_says(faultless: Client) -> None:
    with client(WorldEndpointConfig(vlm=RoleConfig(error_rate=1.0))) as erring:
        for one in questions()[::5]:
            body = request("world-vlm", question(one), one.pair.prompt.pictures)
            right, wrong = faultless.ask(body).content, erring.ask(body).content
            assert verdict(faultless, comparison(one, wrong, right)) == "second"


def walk(opened: Client, one: WorldPair) -> tuple[str, str]:
    """Description, then answer from it alone, thoughts taken off."""
    described = opened.ask(
        request("world-describer", "Describe the picture.", one.pair.prompt.pictures)
    ).content
    text = f"A picture shows this: {described}\n\n{question(one)}"
    reply = opened.ask(request("world-reasoner", text)).content
    thoughts, answer = reply.removeprefix("<think>").split("</think>\n")
    assert thoughts and reply.startswith("<think>")
    return described, answer


def about_pictures() -> list[WorldPair]:
    return [one for one in questions() if one.asked is not None]


def test_description_and_reasoning_lead_to_the_right_answer(faultless: Client) -> None:
    for one in about_pictures():
        described, answer = walk(faultless, one)
        assert one.asked is not None and described == " ".join(one.asked.shown.scene.facts)
        assert answer in problem(one).right.short


def test_a_faulty_description_misleads_the_reasoner() -> None:
    with client(WorldEndpointConfig(describer=RoleConfig(error_rate=1.0))) as opened:
        right = 0
        for one in about_pictures():
            described, answer = walk(opened, one)
            assert one.asked is not None and described != " ".join(one.asked.shown.scene.facts)
            right += answer in problem(one).right.short
        assert right / len(about_pictures()) < 0.1, "another picture may have the same answer"


def test_describer_and_reasoner_err_as_often_as_they_should() -> None:
    faulty = wrong = 0
    both = RoleConfig(error_rate=0.3)
    with client(WorldEndpointConfig(describer=both, reasoner=both)) as opened:
        for one in about_pictures():
            described, answer = walk(opened, one)
            assert one.asked is not None
            is_faulty = described != " ".join(one.asked.shown.scene.facts)
            faulty += is_faulty
            wrong += not is_faulty and answer not in problem(one).right.short
    total = len(about_pictures())
    assert total > 200
    assert 0.22 < faulty / total < 0.38
    assert 0.21 < wrong / (total - faulty) < 0.39


def test_tasks_without_pictures_are_answered_by_vlm_and_reasoner(faultless: Client) -> None:
    tasks = [one for one in questions() if one.asked is None]
    assert len(tasks) > 40
    for one in tasks:
        for model in ("world-vlm", "world-reasoner"):
            said = faultless.ask(request(model, f"Please: {question(one)}")).content
            assert said.split("</think>\n")[-1] in problem(one).right.short


@pytest.mark.parametrize("model", ["world-vlm", "world-describer", "world-reasoner"])
def test_what_is_unknown_is_politely_not_known(faultless: Client, model: str) -> None:
    picture = replace(pairs()[0].pair.prompt.pictures[0], data=b"another file")
    for body in (
        request(model, question(pairs()[0]), [picture]),
        request(model, "Who drew this?"),
        request(model, ""),
    ):
        assert "I am sorry" in faultless.ask(body).content


def test_errors_repeat_with_their_seed_alone() -> None:
    asked = [
        request("world-vlm", question(one), one.pair.prompt.pictures) for one in questions()[:40]
    ]

    def answers(seed: int) -> list[str]:
        config = WorldEndpointConfig(error_seed=seed, vlm=RoleConfig(error_rate=0.5))
        with client(config) as opened:
            return [opened.ask(body).content for body in asked]

    assert answers(1) == answers(1)
    assert answers(1) != answers(2)


def test_the_longest_phrase_counts_and_no_word_is_cut() -> None:
    phrases = Phrases(["5.", "There are 5.", "red", "a red hat", ""])
    found = phrases.find("15. There are 5. Hundred a red hat red 5.", start=1)
    assert [one.phrase for one in found] == ["There are 5.", "a red hat", "red", "5."]
    longest = phrases.longest("red 5.")
    assert longest is not None and longest == ("red", 0, 3)
    assert Phrases([]).find("anything") == []
