"""The base model's objective: each token of an answer is predicted from what stands before it.

Demonstrations that show the same pictures lie in one tree, so the pictures are read once for all.
The language model alone is trained: to say what is seen has been learnt before (see `naming`).

Shapes: T tokens of a row, A answer tokens in it, M picture tokens, C width of the backbone, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vlreward.collation.encoding import Encoder, Tree
from vlreward.collation.packing import PackedBatch, TreeInterval, assign_rows, pack
from vlreward.modeling.network import RewardNetwork
from vlreward.records import Demonstration
from vlreward.training.loop import Cost


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DemonstrationRow:
    """One forward pass: where in the row each answer token is read off, and which it is."""

    batch: PackedBatch
    read_A: Tensor
    """The token before each answer token, as an index into the row."""
    target_A: Tensor
    ids: tuple[str, ...]
    lengths: tuple[int, ...]
    """How many answer tokens each demonstration has."""

    @property
    def num_units(self) -> int:
        """Its answer tokens."""
        return len(self.target_A)

    @property
    def num_tokens(self) -> int:
        """See `loop.Row`."""
        return self.batch.num_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class NextTokenObjective:
    """Cross-entropy over answer tokens, with the embedding as LM head; see `loop.Objective`."""

    network: RewardNetwork
    encoder: Encoder
    token_budget: int

    def make_rows(self, items: Sequence[Demonstration]) -> list[DemonstrationRow]:
        """The rows of one global batch."""
        by_pictures: dict[object, list[Demonstration]] = {}
        for item in items:
            by_pictures.setdefault(what_is_shared(item), []).append(item)
        groups = list(by_pictures.values())
        trees = [
            self.encoder.encode_conversations([(one.prompt, one.response) for one in group])
            for group in groups
        ]
        rows = assign_rows([len(tree) for tree, _ in trees], token_budget=self.token_budget)
        return [
            self._row([trees[i] for i in row], [one for i in row for one in groups[i]])
            for row in rows
        ]

    def cost(self, row: DemonstrationRow) -> Cost:
        """The losses of the row's answer tokens.

        `accuracy` is the share of them that are guessed rightly.
        """
        batch = row.batch.to(self.network.device)
        hidden_TC = self.network.token_states(batch, picture_MC=self._picture_states(batch))
        logits_AV, target_A = self._logits(hidden_TC, row), row.target_A.to(self.network.device)
        loss = cross_entropy(logits_AV, target_A, reduction="sum")
        right = float((logits_AV.detach().argmax(dim=1) == target_A).sum())
        return Cost(loss=loss, totals={"accuracy": right})

    @torch.no_grad()
    def exact(self, row: DemonstrationRow) -> list[bool]:
        """Of each demonstration, whether all its answer tokens are guessed rightly."""
        hidden_TC = self.network.token_states(row.batch.to(self.network.device))
        right_A = self._logits(hidden_TC, row).argmax(dim=1).cpu() == row.target_A
        return [bool(part.all()) for part in right_A.split(list(row.lengths))]

    @torch.no_grad()
    def _picture_states(self, batch: PackedBatch) -> Tensor | None:
        """The projector's outputs [M, C], if there are pictures."""
        if batch.pixel_values is None or batch.image_grid_thw is None:
            return None
        return self.network.picture_states(batch.pixel_values, grids=batch.image_grid_thw)

    def _logits(self, hidden_TC: Tensor, row: DemonstrationRow) -> Tensor:
        """The logits [A, V] of the answer tokens in float32."""
        embedding_VC = self.network.backbone.get_input_embeddings().weight
        logits_AV: Tensor = (hidden_TC[row.read_A.to(hidden_TC.device)] @ embedding_VC.T).float()
        return logits_AV

    def _row(
        self,
        trees: Sequence[tuple[Tree, tuple[int, ...]]],
        items: Sequence[Demonstration],
    ) -> DemonstrationRow:
        batch = pack([tree for tree, _ in trees], self.encoder.preparation)
        places = [
            place
            for interval, (_, lengths) in zip(batch.structure, trees, strict=True)
            for branch, length in enumerate(lengths)
            for place in _answer_places(interval, branch, length)
        ]
        at_A = torch.tensor([at for _, at in places])
        return DemonstrationRow(
            batch=batch,
            read_A=torch.tensor([before for before, _ in places]),
            target_A=batch.input_ids[0, at_A],
            ids=tuple(item.id for item in items),
            lengths=tuple(length for _, lengths in trees for length in lengths),
        )


def what_is_shared(item: Demonstration) -> Hashable:
    """Demonstrations with the same pictures share a tree; one without any has its own."""
    return item.prompt.pictures or item.id


def answers_right(
    objective: NextTokenObjective, items: Sequence[Demonstration], *, batch_size: int = 64
) -> Iterator[bool]:
    """Whether the most probable continuation of each prompt is just its answer, in their order.

    A greedy decoder writes an answer exactly if each of its tokens is the most probable one after
    those before it, so one forward pass tells.
    """
    for start in range(0, len(items), batch_size):
        batch = items[start : start + batch_size]
        found: dict[str, bool] = {}
        for row in objective.make_rows(batch):
            found |= dict(zip(row.ids, objective.exact(row), strict=True))
        yield from (found[item.id] for item in batch)


def _answer_places(interval: TreeInterval, branch: int, length: int) -> list[tuple[int, int]]:
    """For each of a conversation's last tokens, where the one before it lies, and itself."""
    own = interval.branches[branch]
    conversation = [*range(*interval.prefix), *range(*own)]
    answer = range(len(conversation) - length, len(conversation))
    return [(conversation[index - 1], conversation[index]) for index in answer]
