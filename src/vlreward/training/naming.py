"""Naming what is seen: each picture token is to say which words are drawn in its part of a picture.

The projector's output for a part, times the embeddings of the words, gives the odds of the words
that are drawn anywhere in it; a linear map first, one for each field of the part, gives those of
the field. Fields are narrow enough for a printed character. That tells the vision encoder what is
where, hundreds of times a picture; answers tell it once, if at all.

Shapes: M picture tokens, F places of each (the part as a whole, then its fields), W words, C width
of the backbone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from vlreward.world.canvas import Mark

NOTHING = "nothing"
"""What is said of a place at which nothing is drawn."""

_FIELD_ROWS, _FIELD_COLUMNS = 2, 4
NUM_PLACES = 1 + _FIELD_ROWS * _FIELD_COLUMNS
"""The part as a whole, then its fields row by row."""

Words = tuple[str, ...]


class NamedPicture(NamedTuple):
    """A picture and, for each of its tokens, the words that are drawn at each place of its part."""

    picture: Picture
    parts: tuple[tuple[Words, ...], ...]

    @classmethod
    def of(
        cls, picture: Picture, *, marks: Sequence[Mark], preparation: PicturePreparation
    ) -> NamedPicture:
        """Sorts a picture's marks into its tokens' parts and their fields."""
        grid = preparation.grid(picture)
        rows, columns = (side // preparation.merge_size for side in (grid.height, grid.width))
        found: list[list[set[str]]] = [
            [set() for _ in range(NUM_PLACES)] for _ in range(rows * columns)
        ]
        for mark in marks:
            row, field_row = divmod(_step(mark.down, rows * _FIELD_ROWS), _FIELD_ROWS)
            column, field_column = divmod(
                _step(mark.across, columns * _FIELD_COLUMNS), _FIELD_COLUMNS
            )
            part = found[row * columns + column]
            part[0].add(mark.word)
            part[1 + field_row * _FIELD_COLUMNS + field_column].add(mark.word)
        return cls(picture, tuple(_shared(tuple(map(frozenset, part))) for part in found))


def _step(share: float, number: int) -> int:
    """Which of so many equal steps a share of the whole lies in."""
    return min(number - 1, max(0, int(share * number)))


@cache
def _shared(part: tuple[frozenset[str], ...]) -> tuple[Words, ...]:
    """The same tuples for the same words, as most parts of many pictures are alike."""
    return tuple(tuple(sorted(words)) or (NOTHING,) for words in part)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Vocabulary:
    """The words to name, and the token that stands for each: the last one of " word"."""

    index_of: dict[str, int]
    token_ids_W: Tensor

    @classmethod
    def of(cls, named: Iterable[NamedPicture], tokenizer: Tokenizer) -> Vocabulary:
        """All words of these pictures, in the order of the alphabet.

        Raises ConfigError if the tokenizer gives two of them one token.
        """
        known = sorted(
            {word for one in named for part in one.parts for words in part for word in words}
        )
        ids = [tokenizer.hugging_face.encode(f" {w}", add_special_tokens=False)[-1] for w in known]
        clashing = [word for word, token in zip(known, ids, strict=True) if ids.count(token) > 1]
        require(
            not clashing,
            place="scratch.tokenizer",
            value=", ".join(clashing),
            expected="a tokenizer with another last token for each word",
        )
        return cls(
            index_of={word: index for index, word in enumerate(known)},
            token_ids_W=torch.tensor(ids),
        )


def shares_of(named: Sequence[NamedPicture], vocabulary: Vocabulary) -> Tensor:
    """What is to be said [M, F, W] of all tokens of the pictures: their words in equal shares."""
    parts = [part for one in named for part in one.parts]
    told = [
        (token, place, vocabulary.index_of[word], 1 / len(words))
        for token, part in enumerate(parts)
        for place, words in enumerate(part)
        for word in words
    ]
    tokens, places, words, shares = zip(*told, strict=True)
    shares_MFW = torch.zeros(len(parts), NUM_PLACES, len(vocabulary.index_of))
    shares_MFW[list(tokens), list(places), list(words)] = torch.tensor(shares)
    return shares_MFW


class NamingNetwork(nn.Module):
    """A network that is taught to name, with a linear map for each field of a part.

    The maps serve the training of a base model alone.
    """

    def __init__(self, network: RewardNetwork) -> None:
        super().__init__()
        self.network = network
        width = network.backbone.get_input_embeddings().weight.shape[1]
        self.fields = nn.Linear(width, (NUM_PLACES - 1) * width, bias=False)

    def place_states(self, picture_MC: Tensor) -> Tensor:
        """The states [M, F, C] that are to name each place; the part's own is as it is."""
        fields_MFC = self.fields(picture_MC).unflatten(1, (NUM_PLACES - 1, -1))
        return torch.cat([picture_MC[:, None], fields_MFC], dim=1)

    def naming_loss(self, picture_MC: Tensor, shares_MFW: Tensor, vocabulary: Vocabulary) -> Cost:
        """How far what is said is from what is to be said, in nats: the sum over picture tokens.

        A token's loss is its part's and the mean of its fields'. `accuracy` counts the tokens
        whose most probable word is drawn in the part.
        """
        device = self.network.device
        embedding = self.network.backbone.get_input_embeddings().weight
        words_WC = embedding[vocabulary.token_ids_W.to(device)]
        said_MFW = log_softmax((self.place_states(picture_MC.float()) @ words_WC.float().T), dim=-1)
        shares_MFW = shares_MFW.to(device)
        loss_MF = kl_div(said_MFW, shares_MFW, reduction="none").sum(dim=-1)
        guessed_M1 = said_MFW[:, 0].detach().argmax(dim=1, keepdim=True)
        num_right = float((shares_MFW[:, 0].gather(1, guessed_M1) > 0).sum())
        return Cost(
            loss=loss_MF[:, 0].sum() + loss_MF[:, 1:].mean(dim=1).sum(),
            totals={"accuracy": num_right},
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureRow:
    """Pictures that are read together, and what is to be said of their tokens."""

    pixel_values: Tensor
    grids: Tensor
    shares_MFW: Tensor
    ids: tuple[str, ...]

    @property
    def num_units(self) -> int:
        """Its picture tokens."""
        return len(self.shares_MFW)

    @property
    def num_tokens(self) -> int:
        """See `loop.Row`."""
        return len(self.shares_MFW)


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """All that it takes to name the pictures of a run."""

    network: NamingNetwork
    vocabulary: Vocabulary
    named: Mapping[Picture, NamedPicture]

    def loss(self, picture_MC: Tensor, shares_MFW: Tensor) -> Cost:
        """See `NamingNetwork.naming_loss`."""
        return self.network.naming_loss(picture_MC, shares_MFW, self.vocabulary)


@dataclass(frozen=True, kw_only=True, slots=True)
class NamingObjective:
    """Naming alone: the language model is not run; see `loop.Objective`."""

    naming: Naming
    preparation: PicturePreparation

    @property
    def network(self) -> NamingNetwork:
        """What is trained."""
        return self.naming.network

    def make_rows(self, items: Sequence[NamedPicture]) -> list[PictureRow]:
        """One row of all pictures."""
        patches = [torch.from_numpy(self.preparation.prepare(one.picture)) for one in items]
        grids = [list(self.preparation.grid(one.picture)) for one in items]
        return [
            PictureRow(
                pixel_values=torch.cat(patches),
                grids=torch.tensor(grids),
                shares_MFW=shares_of(items, self.naming.vocabulary),
                ids=tuple(one.picture.sha256 for one in items),
            )
        ]

    def cost(self, row: PictureRow) -> Cost:
        """The loss of all picture tokens."""
        network = self.network.network
        picture_MC = network.picture_states(
            row.pixel_values.to(network.device), grids=row.grids.to(network.device)
        )
        return self.naming.loss(picture_MC, row.shares_MFW)
