"""Prompts with the pictures of others."""

from __future__ import annotations

import pytest

from tests.support import tiny
from vlreward.picture_control import with_borrowed_pictures

ONE, OTHER, THIRD = (tiny.picture(seed) for seed in (1, 2, 3))


def test_prompts_of_a_kind_trade_their_pictures_and_keep_their_words() -> None:
    first, second = tiny.prompt(ONE, "First?"), tiny.prompt(OTHER, "Second?")
    assert with_borrowed_pictures([first, second], kinds="aa", seed=0) == [
        tiny.prompt(OTHER, "First?"),
        tiny.prompt(ONE, "Second?"),
    ]


@pytest.mark.parametrize(
    ("second", "kinds"),
    [
        (tiny.prompt(OTHER), "ab"),
        (tiny.prompt(OTHER, THIRD), "aa"),
        (tiny.prompt(ONE, "the same picture"), "aa"),
        (tiny.prompt("no picture"), "aa"),
    ],
)
def test_a_prompt_that_can_borrow_of_nobody_has_no_counterpart(second, kinds) -> None:
    assert with_borrowed_pictures([tiny.prompt(ONE), second], kinds=kinds, seed=0) == [None, None]


def test_what_is_borrowed_is_drawn_by_the_seed() -> None:
    prompts = [tiny.prompt(tiny.picture(seed)) for seed in range(12)]
    kinds = ["a"] * 12
    first = with_borrowed_pictures(prompts, kinds=kinds, seed=1)
    assert first == with_borrowed_pictures(prompts, kinds=kinds, seed=1)
    assert first != with_borrowed_pictures(prompts, kinds=kinds, seed=2)
