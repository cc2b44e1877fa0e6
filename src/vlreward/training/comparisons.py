"""Preference pairs as the rows of a training step.

Pairs of a batch that share a prompt become one tree of their distinct responses: the prompt's
tokens are computed once, and the loss stays the mean over pairs.

Shapes: P pairs of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.packing import PackedBatch, PaddedBatch, pack, pad, row_cost
from vlreward.collation.rounds import WHOLE, Part, plan_rows
from vlreward.errors import DataError, VlrewardError
from vlreward.records import PreferencePair, Prompt, Response


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairRow:
    """One forward pass of training: a batch, and which of its rewards each pair compares."""

    batch: PackedBatch | PaddedBatch
    chosen_P: Tensor
    rejected_P: Tensor
    """Indices into the batch's rewards, [P] each."""
    margin_P: Tensor
    pair_ids: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """See `loop.Row`."""
        return self.pair_ids

    @property
    def num_units(self) -> int:
        """Its pairs."""
        return len(self.pair_ids)

    @property
    def num_tokens(self) -> int:
        """See `loop.Row`."""
        return self.batch.num_tokens


class Truncation(NamedTuple):
    """How many tokens of a pair's responses did not fit."""

    place: str
    num_tokens: int


class UsablePairs(NamedTuple):
    """Pairs that fit the model, rows refused, pairs cut, and the tokens of all that fit."""

    pairs: list[PreferencePair]
    refused: list[VlrewardError]
    truncated: list[Truncation]
    num_tokens: int


class _Member(NamedTuple):
    """A pair within a tree, by its pair id and the places of its two responses."""

    pair_id: str
    chosen: int
    rejected: int
    margin: float


class _PairTree(NamedTuple):
    tree: Tree
    members: list[_Member]


def find_usable(
    rows: Iterable[PreferencePair | DataError],
    encoder: Encoder,
    *,
    advance: Callable[[], None] = lambda: None,
) -> UsablePairs:
    """Encodes each row that is a pair once to learn whether it can be trained on.

    A row that was refused before stays so. A pair whose two responses are equal once truncated
    decides nothing and is refused.
    """
    usable: list[PreferencePair] = []
    refused: list[VlrewardError] = []
    truncated: list[Truncation] = []
    num_tokens = 0
    for pair in rows:
        advance()
        if isinstance(pair, DataError):
            refused.append(pair)
            continue
        try:
            tree = encoder.encode(pair.prompt, [pair.chosen, pair.rejected])
            _refuse_equal_branches(tree)
        except DataError as error:
            refused.append(error.at(describe_place(pair)))
            continue
        usable.append(pair)
        num_tokens += len(tree)
        if any(tree.truncated_tokens):
            truncated.append(Truncation(describe_place(pair), sum(tree.truncated_tokens)))
    return UsablePairs(usable, refused, truncated, num_tokens)


def rows_of_batch(
    pairs: Sequence[PreferencePair],
    encoder: Encoder,
    *,
    token_budget: int,
    packed: bool,
    use_margin: bool,
    encoded: Mapping[str, Tensor] | None = None,
    part: Part = WHOLE,
) -> list[PairRow]:
    """The rows of one global batch, or a process's part of them (see `rounds`).

    Together they hold every pair exactly once. `encoded` are pictures encoded ahead (see `pack`);
    rows are packed then.

    No row exceeds the budget unless it holds a single pair: pairs of one prompt that do not fit
    together become several trees.
    """
    by_prompt: dict[Prompt, list[PreferencePair]] = {}
    for pair in pairs:
        by_prompt.setdefault(pair.prompt, []).append(pair)

    def grow(same_prompt: Sequence[PreferencePair]) -> list[_PairTree]:
        grown = _pair_tree(same_prompt, encoder, use_margin=use_margin)
        fits = row_cost(grown.tree, packed=packed) <= token_budget
        if fits or len(same_prompt) == 1:
            return [grown]
        half = len(same_prompt) // 2
        return [*grow(same_prompt[:half]), *grow(same_prompt[half:])]

    trees = [tree for same_prompt in by_prompt.values() for tree in grow(same_prompt)]
    costs = [row_cost(tree, packed=packed) for tree, _ in trees]
    plan = plan_rows([one.tree for one in trees], costs, token_budget=token_budget, part=part)

    def lay_out(trees: Sequence[Tree]) -> PackedBatch | PaddedBatch:
        if not packed:
            return pad(trees, encoder.preparation)
        return pack(trees, encoder.preparation, encoded=encoded)

    return [
        _row([trees[i] for i in row.trees], lay_out, fillers=[trees[i].tree for i in row.fillers])
        for row in plan
    ]


def describe_place(pair: PreferencePair) -> str:
    """Where a pair came from, for people: file and line, and its own id where it has one."""
    parts = [pair.origin.place or pair.origin.source, pair.origin.row_id or pair.id]
    return ", row ".join(part for part in parts if part)


def _refuse_equal_branches(tree: Tree) -> None:
    first, second = tree.branches
    if np.array_equal(first.ids, second.ids) and first.pictures == second.pictures:
        raise DataError(
            "pair-equal-when-truncated",
            value="two responses with the same tokens",
            place="row",
            expected="responses that differ within max_length",
            mend="Raise max_length or drop the row.",
        )


def _pair_tree(
    same_prompt: Sequence[PreferencePair], encoder: Encoder, *, use_margin: bool
) -> _PairTree:
    places: dict[Response, int] = {}
    members = [
        _Member(
            pair_id=pair.id,
            chosen=places.setdefault(pair.chosen, len(places)),
            rejected=places.setdefault(pair.rejected, len(places)),
            margin=(pair.judgment.margin or 0.0) if use_margin else 0.0,
        )
        for pair in same_prompt
    ]
    return _PairTree(encoder.encode(same_prompt[0].prompt, list(places)), members)


def _row(
    trees: Sequence[_PairTree],
    lay_out: Callable[[Sequence[Tree]], PackedBatch | PaddedBatch],
    *,
    fillers: Sequence[Tree],
) -> PairRow:
    chosen, rejected, margins, pair_ids = [], [], [], []
    offset = 0
    for tree, members in trees:
        for member in members:
            chosen.append(offset + member.chosen)
            rejected.append(offset + member.rejected)
            margins.append(member.margin)
            pair_ids.append(member.pair_id)
        offset += len(tree.branches)
    return PairRow(
        batch=lay_out([*(tree for tree, _ in trees), *fillers]),
        chosen_P=torch.tensor(chosen, dtype=torch.long),
        rejected_P=torch.tensor(rejected, dtype=torch.long),
        margin_P=torch.tensor(margins),
        pair_ids=tuple(pair_ids),
    )
