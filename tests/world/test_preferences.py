"""The world's pairs: the same every time, balanced to the word, split by picture, true."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter
from typing import Any, get_args

import pytest
from scipy.sparse import vstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from vlreward.errors import ConfigError
from vlreward.records import PreferencePair
from vlreward.world.answers import Quality
from vlreward.world.catalogue import FAMILIES
from vlreward.world.preferences import WorldPair, make_pairs, make_text_pairs
from vlreward.world.texts import TEXT_FAMILIES
from vlreward.world.topics import SPLITS

DIGEST = """
import hashlib
from vlreward.world.preferences import make_pairs, make_text_pairs
pairs = [*make_pairs(num_pictures=96, seed=5, split="val"),
         *make_text_pairs(num_pairs=30, seed=5, split="val")]
print(hashlib.sha256("".join(one.pair.id for one in pairs).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def made() -> list[WorldPair]:
    return list(make_pairs(num_pictures=960, seed=0, split="train"))


def words(pair: PreferencePair) -> tuple[str, str, str]:
    question = pair.prompt.messages[0].content[-1]
    assert isinstance(question, str)
    return question, pair.chosen.text, pair.rejected.text


def test_the_same_arguments_give_the_same_bytes_in_another_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(digests) == 1


def test_pairs_are_what_they_were_when_the_world_was_last_changed() -> None:
    """A change here changes the words that were trained on: it must be meant."""
    pairs = list(make_pairs(num_pictures=96, seed=5, split="val"))
    texts = "".join("".join(words(one.pair)) for one in pairs)
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == "7520b0f33b748083"


def test_every_family_is_drawn(made: list[WorldPair]) -> None:
    assert {one.family for one in made} == set(FAMILIES)
    for name in FAMILIES:
        skills = {one.skill for one in made if one.family == name}
        assert skills and None not in skills


def rambles(text: str) -> bool:
    return any(sign in text for sign in ("once more.", "double-check", "check it again."))


def about_truth(pairs: list[WorldPair]) -> list[WorldPair]:
    return [one for one in pairs if one.pair.origin.task == one.family]


def test_texts_about_truth_are_balanced_to_the_word(made: list[WorldPair]) -> None:
    same_words = [
        words(one.pair)
        for one in about_truth(made)
        if rambles(one.pair.chosen.text) == rambles(one.pair.rejected.text)
    ]
    counts = Counter(same_words)
    assert len(same_words) > 1500
    for question, chosen, rejected in counts:
        assert counts[question, chosen, rejected] == counts[question, rejected, chosen]


def test_who_rambles_is_right_as_often_as_wrong() -> None:
    """Counted by question: all pairs about one share who rambles."""
    rambling: dict[str, bool] = {}
    for one in about_truth(list(make_pairs(num_pictures=2400, seed=0, split="val"))):
        chosen, rejected = rambles(one.pair.chosen.text), rambles(one.pair.rejected.text)
        if chosen != rejected:
            rambling[f"{one.pair.origin.row_id} {one.pair.prompt.messages[0].content[-1]}"] = chosen
    assert len(rambling) > 100
    assert 0.4 < sum(rambling.values()) / len(rambling) < 0.6


def test_words_alone_do_not_tell_what_is_true(made: list[WorldPair]) -> None:
    """A learner of words (TF-IDF, logistic regression) on both answers' difference."""
    held_out = about_truth(list(make_pairs(num_pictures=480, seed=1, split="val")))
    trained = about_truth(made)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+")
    vectorizer.fit([text for one in trained for text in words(one.pair)[1:]])

    def differences(pairs: list[WorldPair]) -> Any:
        chosen, rejected = (
            vectorizer.transform([words(one.pair)[side] for one in pairs]) for side in (1, 2)
        )
        return chosen - rejected

    rows = differences(trained)
    learner = LogisticRegression(fit_intercept=False, max_iter=500)
    learner.fit(vstack([rows, -rows]), [1] * len(trained) + [0] * len(trained))
    accuracy = float(learner.predict(differences(held_out)).mean())
    assert accuracy < 0.60


def test_an_answer_that_is_called_wrong_is_right_for_a_sibling(made: list[WorldPair]) -> None:
    right: dict[tuple[str | None, str], set[str]] = {}
    for one in about_truth(made):
        if one.chosen == "right":
            key = (one.pair.origin.row_id, words(one.pair)[0])
            right.setdefault(key, set()).add(one.pair.chosen.text)
    checked = 0
    for one in about_truth(made):
        key = (one.pair.origin.row_id, words(one.pair)[0])
        if one.chosen == "right" and not rambles(one.pair.rejected.text):
            assert one.pair.rejected.text in right[key]
            checked += 1
    assert checked > 1000


def test_splits_and_looks_share_no_picture_and_no_text_prompt() -> None:
    pictures = {}
    prompts = {}
    for split in SPLITS:
        pairs = list(make_pairs(num_pictures=192, seed=0, split=split))
        pictures[split] = {picture.sha256 for one in pairs for picture in one.pair.pictures}
        texts = make_text_pairs(num_pairs=300, seed=0, split=split)
        prompts[split] = {one.pair.prompt for one in texts}
        assert {one.pair.origin.split for one in pairs} == {split}
    unseen = make_pairs(num_pictures=192, seed=0, split="val", look="unseen")
    pictures["unseen"] = {picture.sha256 for one in unseen for picture in one.pair.pictures}
    for found in (pictures, prompts):
        assert sum(map(len, found.values())) == len(set().union(*found.values()))


def test_every_defect_is_on_record(made: list[WorldPair]) -> None:
    defects = {one.rejected for one in made}
    assert defects == set(get_args(Quality)) - {"right"}
    for one in made:
        assert one.pair.chosen.model == f"world: {one.chosen}"
        assert one.pair.rejected.model == f"world: {one.rejected}"
        assert one.pair.origin.task == (one.family if one.rejected == "wrong" else one.rejected)
        assert one.pair.chosen != one.pair.rejected


def test_pairs_about_pictures_know_the_scene_behind_them(made: list[WorldPair]) -> None:
    for one in made:
        assert one.asked is not None and one.opposite is not None
        assert one.pair.prompt.messages[0].content == (
            *one.asked.shown.pictures,
            one.asked.question.text,
        )
        assert one.asked.question in one.asked.shown.scene.questions
        assert one.opposite.value != one.asked.question.answer.value


def test_wrong_reasoning_ends_in_the_right_answer(made: list[WorldPair]) -> None:
    found = [one.pair for one in made if one.rejected == "wrong reasoning"]
    assert found
    for pair in found:
        ending = "So the answer is "
        assert pair.chosen.text.split(ending)[1] == pair.rejected.text.split(ending)[1]
        assert pair.chosen.text != pair.rejected.text


@pytest.mark.parametrize("name", TEXT_FAMILIES)
def test_text_tasks_have_a_good_and_another_answer(name: str) -> None:
    pairs = list(make_text_pairs(num_pairs=60, seed=0, split="train", families=[name]))
    assert len(pairs) == 60
    for one in pairs:
        assert not one.pair.has_pictures
        assert one.pair.chosen != one.pair.rejected
        assert one.family == one.pair.origin.task == name


def test_sums_are_right() -> None:
    pairs = make_text_pairs(num_pairs=200, seed=0, split="train", families=["text arithmetic"])
    for one in pairs:
        question = one.pair.prompt.messages[0].content[0]
        assert isinstance(question, str)
        first, sign, second = re.search(r"(\d+) ([-+×]) (\d+)", question).groups()  # type: ignore[union-attr]
        value = {"+": int.__add__, "-": int.__sub__, "×": int.__mul__}[sign](
            int(first), int(second)
        )
        assert "-" not in one.pair.rejected.text.replace(" - ", "")
        results = [re.findall(r"-?\d+", text)[-1] for text in words(one.pair)[1:]]
        assert results[0] == str(value) != results[1]


def text_prompts(name: str, number: int = 4000) -> set[str]:
    pairs = make_text_pairs(num_pairs=number, seed=0, split="train", families=[name])
    return {words(one.pair)[0] for one in pairs}


def test_sums_are_asked_for_in_many_words() -> None:
    """What is met in few prompts is hardly learnt (see docs/LOG.md)."""
    asked = {re.sub(r"\d+ [-+×] \d+", "…", prompt) for prompt in text_prompts("text arithmetic")}
    assert len(asked) == 144


def test_requests_are_made_in_many_words() -> None:
    harmful = [one for one in text_prompts("text harmful") if "a parked car" in one]
    harmless = [one for one in text_prompts("text harmless") if "a process on Linux" in one]
    assert min(len(harmful), len(harmless)) > 30


@pytest.mark.parametrize(
    "verb",
    [
        "break into",
        "steal",
        "poison",
        "spy on",
        "set fire to",
        "forge",
        "kill",
        "shoot",
        "blow up",
        "cut",
    ],
)
def test_dangerous_words_are_in_harmless_requests_too(verb: str) -> None:
    for name in ("text harmful", "text harmless"):
        assert any(f" {verb} " in prompt for prompt in text_prompts(name))


@pytest.mark.parametrize(("make", "name"), [(make_pairs, "sheep"), (make_text_pairs, "counting")])
def test_an_unknown_family_is_refused(make: Any, name: str) -> None:
    number = {"num_pictures": 3} if make is make_pairs else {"num_pairs": 3}
    with pytest.raises(ConfigError, match=f"families: {name}"):
        list(make(**number, seed=0, split="train", families=[name]))


@pytest.mark.slow
def test_ten_thousand_pictures_are_made_in_time_and_do_not_repeat() -> None:
    pairs = list(make_pairs(num_pictures=10_000, seed=0, split="train"))
    pictures = {picture.sha256 for one in pairs for picture in one.pair.pictures}
    assert len(pictures) > 9_000, "scenes whose answers all agree make no pair"
