"""Examples as values, choosing some of them, and the control with shuffled pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.evaluation.making import example
from tests.sources.making import png
from vlreward.evaluation.examples import with_shuffled_pictures
from vlreward.evaluation.reading import choose
from vlreward.pictures import admit

PICTURES = [admit(png(color)) for color in ("red", "green", "blue", "black")]


def test_the_fingerprint_tells_content_order_and_label_and_no_more() -> None:
    one = example("a", PICTURES[0])
    assert one.fingerprint == replace(one, id="b", group="h", place="elsewhere").fingerprint
    others = [
        example("b", PICTURES[0]),
        example("a", PICTURES[1]),
        replace(one, responses=one.responses[::-1]),
        replace(one, right=(1,)),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_the_length_of_a_response_is_that_of_its_text() -> None:
    assert example("a").num_characters == (3, 3)
    assert example("a", texts=("", "long")).num_characters == (0, 4)


def test_shuffled_pictures_come_from_other_rows_of_the_subset() -> None:
    rows = [example(f"{n}", PICTURES[n % 4], group="gh"[n % 2]) for n in range(8)]
    shuffled = with_shuffled_pictures(rows, seed=0)
    assert [one.id for one in shuffled] == [one.id for one in rows]
    for before, after in zip(rows, shuffled, strict=True):
        kin = {row.prompt.pictures for row in rows if row.group == before.group}
        assert after.prompt.pictures in kin - {before.prompt.pictures}
        assert after.prompt.messages[0].content[0] == before.id
        assert after.fingerprint != before.fingerprint
    assert shuffled == with_shuffled_pictures(rows, seed=0)


def test_a_row_without_another_to_borrow_from_is_left_out() -> None:
    alone = example("alone", PICTURES[0], PICTURES[1])
    same = [example("x", PICTURES[2]), example("y", PICTURES[2])]
    assert with_shuffled_pictures([alone, *same, example("text")], seed=0) == []


def chosen(sizes: dict[str, int], limit: int) -> list[str]:
    names = [f"{bucket}{n}" for bucket, size in sizes.items() for n in range(size)]
    return choose(names, limit=limit, bucket=lambda name: (name[0], ""), name=lambda name: name)


@pytest.mark.parametrize("limit", [1, 7, 50, 99, 100, 500])
def test_a_limit_is_met_exactly_with_shares_within_one(limit: int) -> None:
    sizes = {"a": 61, "b": 30, "c": 9}
    found = Counter(name[0] for name in chosen(sizes, limit))
    assert sum(found.values()) == min(limit, 100)
    for bucket, size in sizes.items():
        assert abs(found[bucket] - min(limit, 100) * size / 100) < 1


def test_what_is_chosen_does_not_depend_on_the_order_of_the_rows() -> None:
    names = [f"a{n}" for n in range(50)]
    one = choose(names, limit=5, bucket=lambda _: ("", ""), name=str)
    other = choose(names[::-1], limit=5, bucket=lambda _: ("", ""), name=str)
    assert set(one) == set(other) and one == sorted(one, key=names.index)
    assert set(one) < set(choose(names, limit=9, bucket=lambda _: ("", ""), name=str))
