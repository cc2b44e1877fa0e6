"""What the base model learns from, and what it is asked afterwards."""

from __future__ import annotations

from collections import Counter

from vlreward.world.catalogue import FAMILIES
from vlreward.world.lessons import make_exam, make_lessons, make_text_lessons
from vlreward.world.preferences import make_pairs


def question(prompt: object) -> str:
    text = prompt.messages[0].content[-1]  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_every_picture_is_described_and_asked_about() -> None:
    lessons = list(make_lessons(num_pictures=64, seed=0, split="train"))
    by_pictures = Counter(one.demonstration.prompt.pictures for one in lessons)
    assert len(by_pictures) >= 60 and min(by_pictures.values()) >= 2
    described = [one for one in lessons if one.kind == "description"]
    assert {one.demonstration.prompt.pictures for one in described} == set(by_pictures)
    assert {one.family for one in lessons} == set(FAMILIES)


def test_a_hint_says_in_which_form_the_answer_comes() -> None:
    for one in make_lessons(num_pictures=160, seed=1, split="train"):
        text = question(one.demonstration.prompt)
        if "Explain your answer." in text:
            assert one.kind == "explained"
            assert "So the answer is" in one.demonstration.response.text
        if "Answer with a word or a number." in text:
            assert one.kind == "value"


def test_the_exam_has_one_right_answer_to_each_question() -> None:
    exam = list(make_exam(num_pictures=96, seed=0, split="val"))
    asked = Counter((one.demonstration.prompt) for one in exam)
    assert max(asked.values()) == 1
    assert all(one.kind == "value" for one in exam)
    assert {one.family for one in exam} == set(FAMILIES)


def test_lessons_exam_and_pairs_share_no_picture() -> None:
    shown = [
        {picture for one in lessons for picture in one.demonstration.prompt.pictures}
        for lessons in (
            make_lessons(num_pictures=96, seed=0, split="train"),
            make_exam(num_pictures=96, seed=0, split="val"),
        )
    ]
    shown.append(
        {
            picture
            for one in make_pairs(num_pictures=96, seed=0, split="train")
            for picture in one.pair.pictures
        }
    )
    assert sum(map(len, shown)) == len(set().union(*shown))


def test_text_lessons_show_nothing() -> None:
    lessons = list(make_text_lessons(num_lessons=60, seed=0, split="train"))
    assert len(lessons) == 60
    assert not any(one.demonstration.prompt.pictures for one in lessons)
