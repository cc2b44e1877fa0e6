"""Language models that are read, not asked: what they expect at chosen places of given answers.

Shapes: A places of an answer, C width of the backbone, V vocabulary, T tokens of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.packing import TreeInterval, assign_rows, pack, pad
from vlreward.collation.text import Tokenizer, load_tokenizer
from vlreward.errors import CheckpointError, DataError, VlrewardError
from vlreward.evaluation.judges.local import limits_of
from vlreward.evaluation.scorers.config import WeightsConfig
from vlreward.evaluation.scorers.protocols import raising
from vlreward.modeling import backbones
from vlreward.modeling.encoders import encoder_of
from vlreward.modeling.language_models import open_language_model
from vlreward.modeling.network import packed_states, padded_states
from vlreward.records import Message, Prompt, Response

R = TypeVar("R")

_PROBE = (
    Prompt(messages=(Message(role="user", content=("Which is larger, 3 or 5?",)),)),
    Response(content=("5 is larger.",)),
)
_TOLERANCE = {torch.float32: 1e-3}
_LOW_PRECISION_TOLERANCE = 0.1


class Reading(NamedTuple):
    """A prompt with its responses, and where each response is read.

    A place is an index into the prompt's tokens followed by the response's; read there is what the
    model expects after that token.
    """

    tree: Tree
    places: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class LanguageModel:
    """A backbone with its LM head and encoder; load one with `load_language_model`.

    A backbone that packing is exact for reads many answers in one row, any other one each by
    itself.
    """

    backbone: PreTrainedModel
    lm_head: nn.Module
    encoder: Encoder
    tokenizer: Tokenizer
    packed: bool
    token_budget: int

    @torch.no_grad()
    def read(
        self, readings: Sequence[Reading], *, interpret: Callable[[int, int, Tensor], R]
    ) -> list[list[R] | VlrewardError]:
        """Of each reading, for each response, what `interpret` makes of it.

        It is given the reading's index, the response's, and the hidden states [A, C] there. A
        picture that is gone by now costs its own reading alone.
        """
        parts = [
            (index, first, part)
            for index, reading in enumerate(readings)
            for first, part in self._parts(reading)
        ]
        made: dict[tuple[int, int], R] = {}
        errors: dict[int, VlrewardError] = {}
        for row in self._rows([part for _, _, part in parts]):
            states = self._states([parts[place][2] for place in row])
            for place, found in zip(row, states, strict=True):
                index, first, _ = parts[place]
                if isinstance(found, VlrewardError):
                    errors[index] = found
                    continue
                for branch, hidden_AC in enumerate(found, start=first):
                    made[index, branch] = interpret(index, branch, hidden_AC)
        return [
            errors[index]
            if index in errors
            else [made[index, branch] for branch in range(len(reading.places))]
            for index, reading in enumerate(readings)
        ]

    def _parts(self, reading: Reading) -> list[tuple[int, Reading]]:
        """What is read in one pass, each with the number of its first response."""
        if self.packed and len(reading.tree) <= self.token_budget:
            return [(0, reading)]
        return [(branch, _only(reading, branch)) for branch in range(len(reading.places))]

    def _rows(self, readings: Sequence[Reading]) -> list[list[int]]:
        if not self.packed:
            return [[place] for place in range(len(readings))]
        return assign_rows([len(one.tree) for one in readings], token_budget=self.token_budget)

    def _states(self, readings: Sequence[Reading]) -> list[list[Tensor] | VlrewardError]:
        """One forward pass: of each reading, the hidden states of each of its responses."""
        trees = [one.tree for one in readings]
        device = self.backbone.device
        try:
            if not self.packed:
                [only] = readings
                hidden_TC = padded_states(
                    self.backbone, pad(trees, self.encoder.preparation).to(device)
                )[0]
                return [[hidden_TC[list(only.places[0])]]]
            batch = pack(trees, self.encoder.preparation)
        except DataError as error:
            if len(readings) == 1:
                return [error]
            return [found for one in readings for found in self._states([one])]
        hidden_TC = packed_states(self.backbone, batch.to(device))
        return [
            [
                hidden_TC[_in_row(interval, branch, places)]
                for branch, places in enumerate(reading.places)
            ]
            for interval, reading in zip(batch.structure, readings, strict=True)
        ]

    def logits(self, hidden_AC: Tensor) -> Tensor:
        """The logits [A, V] in float32."""
        logits_AV: Tensor = self.lm_head(hidden_AC)
        return logits_AV.float()


def load_language_model(weights: WeightsConfig, *, max_length: int) -> LanguageModel:
    """A model with its LM head; raises CheckpointError if it cannot be read exactly."""
    folder, config, model = open_language_model(
        weights.path, revision=weights.revision, dtype=weights.dtype, device=weights.device
    )
    limits = limits_of(weights, max_length=max_length)
    backbone = model.base_model
    packed = backbones.is_packed(config, "auto")
    if packed:
        backbones.use_tree_attention(backbone)
    lm_head = model.get_output_embeddings()
    assert lm_head is not None, "a model that predicts tokens has an LM head"
    found = LanguageModel(
        backbone=backbone,
        lm_head=lm_head,
        encoder=encoder_of(folder, config=config, collation=limits),
        tokenizer=load_tokenizer(folder),
        packed=packed,
        token_budget=limits.token_budget,
    )
    _check(found, model, place=str(folder))
    return found


def answer_of(encoder: Encoder, tree: Tree, *, opening: Sequence[int], branch: int) -> range:
    """Where the answer's own tokens lie in its conversation, the one that closes it included.

    `opening` are the ids of the prompt up to where an answer would begin. What a template puts
    behind the closing token belongs to nobody.
    """
    ids = [*tree.prefix.ids.tolist(), *tree.branches[branch].ids.tolist()]
    start = sum(1 for _ in _equal(ids, opening))
    control = [at for at in range(start, len(ids)) if ids[at] in encoder.control_ids]
    return range(start, control[-1] + 1 if control else len(ids))


def windows(items: Iterator[R], *, size: int) -> Iterator[list[R]]:
    """The items, so many at a time."""
    while window := list(islice(items, size)):
        yield window


def _equal(one: Sequence[int], other: Sequence[int]) -> Iterator[None]:
    for first, second in zip(one, other, strict=False):
        if first != second:
            return
        yield None


def _only(reading: Reading, branch: int) -> Reading:
    """The reading of one of its responses."""
    tree = reading.tree
    alone = Tree(
        prefix=tree.prefix,
        branches=(tree.branches[branch],),
        truncated_tokens=(tree.truncated_tokens[branch],),
    )
    return Reading(alone, (reading.places[branch],))


def _in_row(interval: TreeInterval, branch: int, places: Sequence[int]) -> list[int]:
    """Places of a conversation as places of the packed row."""
    start, end = interval.prefix
    own = interval.branches[branch].start
    length = end - start
    return [start + at if at < length else own + at - length for at in places]


@torch.no_grad()
def _check(found: LanguageModel, model: PreTrainedModel, *, place: str) -> None:
    """Holds the logits of a short text against transformers' own forward.

    Models differ in what they do behind the LM head (capping, scaling), which is not repeated here.
    """
    tree = found.encoder.encode(_PROBE[0], [_PROBE[1]])
    length = len(tree)
    reading = Reading(tree, (tuple(range(length)),))
    [[ours_TV]] = raising(found.read([reading], interpret=lambda *known: found.logits(known[-1])))
    row = pad([tree], None).to(model.device)
    with backbones.plain_attention(found.backbone):
        theirs_TV = model(input_ids=row.input_ids, use_cache=False).logits[0].float()
    tolerance = _TOLERANCE.get(model.dtype, _LOW_PRECISION_TOLERANCE)
    gap = ((ours_TV - theirs_TV).abs().max() / theirs_TV.abs().max()).item()
    if not gap <= tolerance:
        raise CheckpointError(
            "logits-altered",
            value=f"logits that differ by {gap:.2g} of the largest",
            place=place,
            expected="a model whose logits are its LM head's",
            mend="Models that cap or scale their logits cannot be read this way.",
        )
