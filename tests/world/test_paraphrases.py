import random

import pytest

from vlreward.world.paraphrases import KINDS

SAID = {
    "synonyms": ("Which bar is the largest?", "Which bar is the biggest?"),
    "short forms": ("They do not overlap.", "They don't overlap."),
    "reframed": ("How many circles are there?", "Count the circles. How many are there?"),
    "number words": ("There are 3 dogs and 1.5 cats.", "There are three dogs and 1.5 cats."),
}


@pytest.mark.parametrize("kind", SAID)
def test_each_kind_says_it_as_people_do(kind):
    text, other = SAID[kind]
    assert KINDS[kind](text, random.Random(0)) == other


@pytest.mark.parametrize("kind", KINDS)
def test_white_space_and_case_alone_are_no_paraphrase(kind):
    text = "What is the largest number of all 12 pictures? They do not overlap."
    found = KINDS[kind](text, random.Random(1))
    assert "".join(found.split()).lower() != "".join(text.split()).lower()


@pytest.mark.parametrize("kind", ["synonyms", "short forms", "reframed", "number words"])
def test_what_a_kind_cannot_change_it_leaves(kind):
    assert KINDS[kind]("Hm, so?", random.Random(0)) == "Hm, so?"


def test_typing_errors_change_letters_and_not_many():
    text = "Describe the missing pattern carefully."
    found = KINDS["typing errors"](text, random.Random(0))
    words = list(zip(text.split(), found.split(), strict=True))
    changed = [pair for pair in words if pair[0] != pair[1]]
    assert 1 <= len(changed) <= 2
    assert all(abs(len(one) - len(other)) <= 1 for one, other in changed)


def test_the_same_seed_gives_the_same_words():
    for paraphrase in KINDS.values():
        text = "Which of the pictures shows the largest circle?"
        assert len({paraphrase(text, random.Random(7)) for _ in range(3)}) == 1
