"""Naming what is seen: each picture token is to say what is drawn in its part of a picture.

The projector's output for a part, times the embeddings of the words, gives the odds of the words
that are drawn anywhere in it. A linear map first, one for each word of a phrase, gives the phrase
that is to be said of the thing that the part belongs to: of a bar, its label and its value.
That tells the vision encoder what is where and what belongs together, hundreds of times a
picture; answers tell it once, if at all.

Shapes: M picture tokens, S sayings of each (the words of its part, then the phrase word by word), W
words, C width of the backbone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from vlreward.collation.picture_preparation import PicturePreparation
from vlreward.collation.text import Tokenizer
from vlreward.errors import require
from vlreward.modeling.network import RewardNetwork
from vlreward.records import Picture
from vlreward.training.loop import Cost
from vlreward.world.canvas import Mark, words_of

NOTHING = "nothing"
"""What is said where nothing is drawn, and after a phrase."""

PHRASE_LENGTH = 5
"""How many words of a phrase are said."""
NUM_SAYINGS = 1 + PHRASE_LENGTH

_AFTER_PHRASE = (NOTHING,) * PHRASE_LENGTH

Words = tuple[str, ...]


class NamedPicture(NamedTuple):
    """A picture and, for each of its tokens, the words that each saying may be."""

    picture: Picture
    parts: tuple[tuple[Words, ...], ...]

    @classmethod
    def of(
        cls, picture: Picture, *, marks: Sequence[Mark], preparation: PicturePreparation
    ) -> NamedPicture:
        """Sorts a picture's marks into its tokens' parts."""
        grid = preparation.grid(picture)
        rows, columns = (side // preparation.merge_size for side in (grid.height, grid.width))
        found: list[list[set[str]]] = [
            [set() for _ in range(NUM_SAYINGS)] for _ in range(rows * columns)
        ]
        for mark in marks:
            part = found[_step(mark.down, rows) * columns + _step(mark.across, columns)]
            part[0].add(mark.word)
            if mark.phrase:
                words = [*words_of(mark.phrase)[:PHRASE_LENGTH], *_AFTER_PHRASE]
                for said, word in zip(part[1:], words, strict=False):
                    said.add(word)
        return cls(
            picture, tuple(tuple(_in_order(frozenset(words)) for words in part) for part in found)
        )


def _step(share: float, number: int) -> int:
    """Which of so many equal steps a share of the whole lies in."""
    return min(number - 1, max(0, int(share * number)))


@cache
def _in_order(words: frozenset[str]) -> Words:
    """The words by the alphabet, or that there is nothing; the same tuple for the same words."""
    return tuple(sorted(words)) or (NOTHING,)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Vocabulary:
    """The words to say, and the two tokens that stand for each, within a sentence and at its start.

    So what is seen is like what is said.
    """

    index_of: dict[str, int]
    token_ids_W2: Tensor

    @classmethod
    def of(cls, named: Iterable[NamedPicture], tokenizer: Tokenizer) -> Vocabulary:
        """All words of these pictures, in the order of the alphabet.

        Raises ConfigError if the tokenizer gives two of them the same two tokens.
        """
        known = sorted(
            {word for one in named for part in one.parts for words in part for word in words}
        )
        ids = [_tokens_of(word, tokenizer) for word in known]
        clashing = [word for word, tokens in zip(known, ids, strict=True) if ids.count(tokens) > 1]
        require(
            not clashing,
            place="scratch.tokenizer",
            value=", ".join(clashing),
            expected="a tokenizer with other tokens for each word",
        )
        return cls(
            index_of={word: index for index, word in enumerate(known)},
            token_ids_W2=torch.tensor(ids),
        )


def _tokens_of(word: str, tokenizer: Tokenizer) -> tuple[int, int]:
    """The last token of " word", and the one of "word" if it is one."""
    within, alone = (
        tokenizer.hugging_face.encode(text, add_special_tokens=False) for text in (f" {word}", word)
    )
    return within[-1], alone[0] if len(alone) == 1 else within[-1]


def shares_of(named: Sequence[NamedPicture], vocabulary: Vocabulary) -> Tensor:
    """What is to be said [M, S, W] of all tokens of the pictures: their words in equal shares."""
    parts = [part for one in named for part in one.parts]
    told = [
        (token, saying, vocabulary.index_of[word], 1 / len(words))
        for token, part in enumerate(parts)
        for saying, words in enumerate(part)
        for word in words
    ]
    tokens, sayings, words, shares = zip(*told, strict=True)
    shares_MSW = torch.zeros(len(parts), NUM_SAYINGS, len(vocabulary.index_of))
    shares_MSW[list(tokens), list(sayings), list(words)] = torch.tensor(shares)
    return shares_MSW


class NamingNetwork(nn.Module):
    """A network that is taught to name, with a linear map for each word of a phrase.

    The maps serve the training of a base model alone.
    """

    def __init__(self, network: RewardNetwork) -> None:
        super().__init__()
        self.network = network
        width = network.backbone.get_input_embeddings().weight.shape[1]
        self.phrase = nn.Linear(width, PHRASE_LENGTH * width, bias=False)

    def saying_states(self, picture_MC: Tensor) -> Tensor:
        """The states [M, S, C] whose nearest words are the sayings; the part's own is as it is."""
        phrase_MSC = self.phrase(picture_MC).unflatten(1, (PHRASE_LENGTH, -1))
        return torch.cat([picture_MC[:, None], phrase_MSC], dim=1)

    def naming_loss(
        self, picture_MC: Tensor, shares_MSW: Tensor, *, vocabulary: Vocabulary
    ) -> Cost:
        """How far what is said is from what is to be said, in nats: the sum over picture tokens.

        A token's loss is the sum over its sayings. `accuracy` counts the tokens all of whose most
        probable words are to be said.
        """
        device = self.network.device
        embedding = self.network.backbone.get_input_embeddings().weight
        words_WC = embedding[vocabulary.token_ids_W2.to(device)].float().mean(dim=1)
        said_MSW = log_softmax(self.saying_states(picture_MC.float()) @ words_WC.T, dim=-1)
        shares_MSW = shares_MSW.to(device)
        guessed_MS1 = said_MSW.detach().argmax(dim=-1, keepdim=True)
        is_right_MS = shares_MSW.gather(-1, guessed_MS1).squeeze(-1) > 0
        return Cost(
            loss=kl_div(said_MSW, shares_MSW, reduction="sum"),
            totals={"accuracy": float(is_right_MS.all(dim=1).sum())},
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureRow:
    """Pictures that are read together, and what is to be said of their tokens."""

    pixel_values: Tensor
    grids: Tensor
    shares_MSW: Tensor
    ids: tuple[str, ...]

    @property
    def num_units(self) -> int:
        """Its picture tokens."""
        return len(self.shares_MSW)

    @property
    def num_tokens(self) -> int:
        """See `loop.Row`."""
        return len(self.shares_MSW)


@dataclass(frozen=True, kw_only=True, slots=True)
class NamingObjective:
    """Naming alone: the language model is not run; see `loop.Objective`."""

    network: NamingNetwork
    vocabulary: Vocabulary
    preparation: PicturePreparation

    def make_rows(self, items: Sequence[NamedPicture]) -> list[PictureRow]:
        """One row of all pictures."""
        patches = [torch.from_numpy(self.preparation.prepare(one.picture)) for one in items]
        grids = [list(self.preparation.grid(one.picture)) for one in items]
        return [
            PictureRow(
                pixel_values=torch.cat(patches),
                grids=torch.tensor(grids),
                shares_MSW=shares_of(items, self.vocabulary),
                ids=tuple(one.picture.sha256 for one in items),
            )
        ]

    def cost(self, row: PictureRow) -> Cost:
        """The loss of all picture tokens."""
        network = self.network.network
        picture_MC = network.picture_states(
            row.pixel_values.to(network.device), grids=row.grids.to(network.device)
        )
        return self.network.naming_loss(picture_MC, row.shares_MSW, vocabulary=self.vocabulary)
