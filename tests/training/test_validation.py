"""Counting what a scorer gets right, its interval, and the control with shuffled pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from tests.support import tiny
from vlreward.evaluation.scorers.protocols import PatientScorer
from vlreward.records import Origin, PreferencePair, Prompt, Response, Score
from vlreward.training.validation import validate, with_shuffled_pictures


@dataclass(frozen=True)
class NumberScorer(PatientScorer):
    """Gives a response the number that its text is."""

    def score_each(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score]]:
        for _, responses in comparisons:
            yield [Score(value=float(response.text), num_tokens=1) for response in responses]


def pair_of(chosen: float, rejected: float, *, task: str | None = "sums") -> PreferencePair:
    pair = tiny.pair(
        tiny.prompt("Which?"), tiny.response(str(chosen)), tiny.response(str(rejected))
    )
    return replace(pair, origin=Origin(source="numbers", task=task))


def test_a_pair_is_right_only_if_the_chosen_response_scores_strictly_higher() -> None:
    pairs = [pair_of(2, 1), pair_of(1, 2), pair_of(0.5, 0.50), pair_of(-1, -3)]
    found = validate(NumberScorer(), pairs).overall
    assert (found.share, found.share.accuracy) == ((2, 4), 0.5)


def test_loss_and_margin_are_means_over_the_pairs() -> None:
    found = validate(NumberScorer(), [pair_of(2, 1), pair_of(1, 4)]).overall
    assert found.mean_margin == pytest.approx(-1.0)
    losses = [math.log1p(math.exp(-1)), math.log1p(math.exp(3))]
    assert found.loss == pytest.approx(sum(losses) / 2)


def test_the_loss_of_a_hopeless_pair_is_finite() -> None:
    assert validate(NumberScorer(), [pair_of(-1e6, 1e6)]).overall.loss == 2e6


def test_tasks_are_counted_apart_in_the_order_of_their_names() -> None:
    pairs = [
        pair_of(1, 0, task="shapes"),
        pair_of(0, 1, task="colours"),
        pair_of(1, 0, task="colours"),
        pair_of(1, 0, task=None),
    ]
    found = validate(NumberScorer(), pairs)
    assert [(r.task, *r.share) for r in found.by_task] == [
        ("colours", 1, 2),
        ("numbers", 1, 1),
        ("shapes", 1, 1),
    ]
    assert found.overall.share == (3, 4)


def with_pictures(task: str, *seeds: int) -> PreferencePair:
    pair = tiny.pair(
        tiny.prompt("Look: ", *(tiny.picture(seed) for seed in seeds), " Which?"),
        tiny.response("This."),
        tiny.response("That."),
    )
    return replace(pair, origin=Origin(source="drawn", task=task))


def test_shuffling_gives_no_pair_a_picture_of_its_own() -> None:
    pairs = [with_pictures("a", seed % 5, 10 + seed % 3) for seed in range(12)]
    shuffled = with_shuffled_pictures(pairs, seed=0)
    originals = {(pair.prompt.messages[0].content[1:3]) for pair in pairs}
    assert len(shuffled) == len(pairs)
    for pair, other in zip(pairs, shuffled, strict=True):
        assert not set(pair.prompt.pictures) & set(other.prompt.pictures)
        assert other.prompt.pictures in originals
        assert other.prompt.messages[0].content[0::3] == pair.prompt.messages[0].content[0::3]
        assert (other.chosen, other.rejected) == (pair.chosen, pair.rejected)


def test_only_pairs_of_one_task_with_as_many_pictures_trade() -> None:
    one, other = with_pictures("a", 1), with_pictures("a", 2)
    alone = [with_pictures("b", 3), with_pictures("a", 4, 5), with_pictures("c")]
    shuffled = with_shuffled_pictures([one, *alone, other], seed=0)
    assert [pair.prompt for pair in shuffled] == [one.prompt, other.prompt][::-1]


def test_the_same_seed_shuffles_the_same_way() -> None:
    pairs = [with_pictures("a", seed) for seed in range(12)]
    first = with_shuffled_pictures(pairs, seed=1)
    assert first == with_shuffled_pictures(pairs, seed=1)
    assert first != with_shuffled_pictures(pairs, seed=2)
