"""Packed and padded rows: every token of every tree once, in its place, with its own pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.support import tiny
from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.packing import assign_rows, pack, pad
from vlreward.collation.picture_preparation import PicturePreparation
from vlreward.collation.templates import QwenTemplate
from vlreward.collation.text import load_tokenizer
from vlreward.world.tokenizer import TOKENIZER_FOLDER

lengths = st.lists(st.integers(1, 50), max_size=40)
budgets = st.integers(1, 120)
PREPARATION = PicturePreparation()
SHARED, OWN, OTHER = (tiny.picture(seed, width=56 + 28 * seed, height=56) for seed in range(3))


@given(lengths=lengths, token_budget=budgets)
def test_every_tree_has_one_row_and_no_row_of_several_exceeds_the_budget(
    lengths: list[int], token_budget: int
) -> None:
    rows = assign_rows(lengths, token_budget=token_budget)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    for row in rows:
        assert row == sorted(row)
        assert len(row) == 1 or sum(lengths[index] for index in row) <= token_budget


@given(lengths=lengths, token_budget=budgets)
def test_the_same_lengths_give_the_same_rows(lengths: list[int], token_budget: int) -> None:
    rows = assign_rows(lengths, token_budget=token_budget)
    assert rows == assign_rows(list(lengths), token_budget=token_budget)


@given(lengths=lengths, token_budget=budgets)
def test_at_most_one_row_is_less_than_half_full(lengths: list[int], token_budget: int) -> None:
    rows = assign_rows(lengths, token_budget=token_budget)
    sums = [sum(lengths[index] for index in row) for row in rows]
    assert sum(2 * total <= token_budget for total in sums) <= 1


def trees() -> list[Tree]:
    tokenizer = load_tokenizer(TOKENIZER_FOLDER)
    encoder = Encoder(
        QwenTemplate(tokenizer, default_system=True),
        preparation=PREPARATION,
        image_token_id=tokenizer.control("<|image_pad|>"),
        num_axes=3,
        control_ids=frozenset(tokenizer.control_tokens.values()),
        max_length=1000,
        overflow="refuse",
    )
    return [
        encoder.encode(
            tiny.prompt(SHARED, "Why?"), [tiny.response("So."), tiny.response("No", OWN)]
        ),
        encoder.encode(tiny.prompt("Text?"), [tiny.response("a"), tiny.response("b c d")]),
        encoder.encode(tiny.prompt("Draw."), [tiny.response(p) for p in (OTHER, SHARED, OWN)]),
        encoder.encode(
            tiny.prompt(OTHER, SHARED, "?"), [tiny.response(SHARED, OTHER), tiny.response("No.")]
        ),
    ]


@pytest.fixture(scope="module")
def made() -> list[Tree]:
    return trees()


def test_a_packed_row_holds_the_trees_end_to_end(made: list[Tree]) -> None:
    batch = pack(made, PREPARATION)
    spans = [span for tree in made for span in (tree.prefix, *tree.branches)]
    assert batch.input_ids.shape == (1, sum(map(len, made)))
    assert batch.position_ids.shape == (3, 1, sum(map(len, made)))
    intervals = [i for tree in batch.structure for i in (tree.prefix, *tree.branches)]
    assert intervals[0].start == 0
    for span, interval, following in zip(spans, intervals, [*intervals[1:], None], strict=True):
        np.testing.assert_array_equal(batch.input_ids[0, interval.start : interval.end], span.ids)
        found = batch.position_ids[:, 0, interval.start : interval.end]
        np.testing.assert_array_equal(found, span.positions)
        end = batch.input_ids.shape[1] if following is None else following.start
        assert interval.end == end
    assert [len(tree.branches) for tree in batch.structure] == [2, 2, 3, 2]


def test_scores_are_read_at_the_last_token_of_each_response(made: list[Tree]) -> None:
    packed, padded = pack(made, PREPARATION), pad(made, PREPARATION)
    rows = [(tree.prefix, branch) for tree in made for branch in tree.branches]
    ends = [branch.end - 1 for tree in packed.structure for branch in tree.branches]
    assert packed.score_positions.tolist() == ends
    assert padded.score_positions.tolist() == [len(p) + len(b) - 1 for p, b in rows]
    assert padded.attention_mask.sum(dim=1).tolist() == [len(p) + len(b) for p, b in rows]


def prepared(*pictures: object) -> Tensor:
    return torch.cat([torch.from_numpy(PREPARATION.prepare(p)) for p in pictures])  # type: ignore[arg-type]


def test_pictures_come_in_the_order_of_their_tokens(made: list[Tree]) -> None:
    packed, padded = pack(made, PREPARATION), pad(made, PREPARATION)
    assert packed.pixel_values is not None
    once = [SHARED, OWN, OTHER, SHARED, OWN, OTHER, SHARED, SHARED, OTHER]
    repeated = [SHARED, SHARED, *once[1:], OTHER, SHARED]
    widths = {SHARED: 4, OWN: 6, OTHER: 8}
    for batch, order in ((packed, once), (padded, repeated)):
        torch.testing.assert_close(batch.pixel_values, prepared(*order))
        assert batch.image_grid_thw is not None
        assert batch.image_grid_thw.tolist() == [[1, 4, widths[p]] for p in order]
    pad_id = load_tokenizer(TOKENIZER_FOLDER).control("<|image_pad|>")
    num_tokens = int((packed.input_ids == pad_id).sum())
    assert num_tokens * 4 == len(packed.pixel_values)


def test_rows_of_text_have_no_pictures(made: list[Tree]) -> None:
    for batch in (pack([made[1]], PREPARATION), pad([made[1]], PREPARATION)):
        assert batch.pixel_values is None
        assert batch.image_grid_thw is None


def test_batches_move_whole(made: list[Tree]) -> None:
    for batch in (pack(made, PREPARATION), pad(made, PREPARATION)):
        moved = batch.to(torch.device("meta"))
        for name in batch.__dataclass_fields__:
            if isinstance(getattr(batch, name), Tensor):
                assert getattr(moved, name).is_meta, name
            else:
                assert getattr(moved, name) == getattr(batch, name), name
