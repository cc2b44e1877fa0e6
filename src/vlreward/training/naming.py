"""Naming what is seen: each picture token is to say which words are drawn in its part of a picture.

The projector's output for a part, times the embeddings of the words, gives the words' odds. That
tells the vision encoder where what is, many times a picture; answers tell it once, if at all.

Shapes: M picture tokens, W words, C width of the backbone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from vlreward.collation.picture_preparation import PicturePreparation
from vlreward.collation.text import Tokenizer
from vlreward.modeling.network import RewardNetwork
from vlreward.records import Picture
from vlreward.training.loop import Cost
from vlreward.world.canvas import Mark

NOTHING = "nothing"
"""What is said of a part in which nothing is drawn."""


class NamedPicture(NamedTuple):
    """A picture and, for each of its tokens, the words that are drawn in its part."""

    picture: Picture
    parts: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, picture: Picture, marks: Sequence[Mark], preparation: PicturePreparation
    ) -> NamedPicture:
        """Sorts a picture's marks into its tokens' parts."""
        grid = preparation.grid(picture)
        rows, columns = (side // preparation.merge_size for side in (grid.height, grid.width))
        found: list[set[str]] = [set() for _ in range(rows * columns)]
        for mark in marks:
            row = min(rows - 1, max(0, int(mark.down * rows)))
            column = min(columns - 1, max(0, int(mark.across * columns)))
            found[row * columns + column].add(mark.word)
        return cls(picture, tuple(_sorted(frozenset(words)) for words in found))


@cache
def _sorted(words: frozenset[str]) -> tuple[str, ...]:
    """The same tuple for the same words, as there are few of them in many pictures."""
    return tuple(sorted(words)) or (NOTHING,)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Vocabulary:
    """The words to name, and the token that stands for each: the last one of " word"."""

    index_of: dict[str, int]
    token_ids_W: Tensor

    @classmethod
    def of(cls, named: Iterable[NamedPicture], tokenizer: Tokenizer) -> Vocabulary:
        """All words of these pictures, in the order of the alphabet."""
        known = sorted({word for one in named for part in one.parts for word in part})
        ids = [tokenizer.hugging_face.encode(f" {w}", add_special_tokens=False)[-1] for w in known]
        return cls(
            index_of={word: index for index, word in enumerate(known)},
            token_ids_W=torch.tensor(ids),
        )


def shares_of(named: Sequence[NamedPicture], vocabulary: Vocabulary) -> Tensor:
    """What is to be said [M, W] of all tokens of the pictures: their words in equal shares."""
    parts = [part for one in named for part in one.parts]
    shares_MW = torch.zeros(len(parts), len(vocabulary.index_of))
    for token, words in enumerate(parts):
        shares_MW[token, [vocabulary.index_of[word] for word in words]] = 1 / len(words)
    return shares_MW


def naming_loss(
    network: RewardNetwork, picture_MC: Tensor, shares_MW: Tensor, vocabulary: Vocabulary
) -> Cost:
    """How far what is said is from what is to be said, summed over tokens in nats.

    `accuracy` counts the tokens whose most probable word is right.
    """
    device = network.device
    embedding = network.backbone.get_input_embeddings().weight
    words_WC = embedding[vocabulary.token_ids_W.to(device)]
    said_MW = log_softmax((picture_MC @ words_WC.T).float(), dim=1)
    shares_MW = shares_MW.to(device)
    right_M = shares_MW.gather(1, said_MW.detach().argmax(dim=1, keepdim=True)) > 0
    return Cost(
        loss=kl_div(said_MW, shares_MW, reduction="sum"),
        totals={"accuracy": float(right_M.sum())},
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureRow:
    """Pictures that are read together, and what is to be said of their tokens."""

    pixel_values: Tensor
    grids: Tensor
    shares_MW: Tensor
    ids: tuple[str, ...]

    @property
    def num_units(self) -> int:
        """Its picture tokens."""
        return len(self.shares_MW)

    @property
    def num_tokens(self) -> int:
        """See `loop.Row`."""
        return len(self.shares_MW)


@dataclass(frozen=True, kw_only=True, slots=True)
class NamingObjective:
    """Naming alone: the language model is not run; see `loop.Objective`."""

    network: RewardNetwork
    preparation: PicturePreparation
    vocabulary: Vocabulary

    def make_rows(self, items: Sequence[NamedPicture]) -> list[PictureRow]:
        """One row of all pictures."""
        patches = [torch.from_numpy(self.preparation.prepare(one.picture)) for one in items]
        grids = [list(self.preparation.grid(one.picture)) for one in items]
        return [
            PictureRow(
                pixel_values=torch.cat(patches),
                grids=torch.tensor(grids),
                shares_MW=shares_of(items, self.vocabulary),
                ids=tuple(one.picture.sha256 for one in items),
            )
        ]

    def cost(self, row: PictureRow) -> Cost:
        """The loss of all picture tokens."""
        device = self.network.device
        picture_MC = self.network.picture_states(row.pixel_values.to(device), row.grids.to(device))
        return naming_loss(self.network, picture_MC, row.shares_MW, self.vocabulary)
