"""Pairs that words alone decide count less: what a model without eyes makes of each pair.

Multimodal reward models lean on shortcuts in the texts, which do not hold elsewhere. A proxy, a
reward model trained on the same pairs without their pictures, tells which pairs these decide
(Li et al. 2025, arXiv 2503.03122; there it is trained beside the model, here before it).

Shapes: P pairs of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vlreward.picture_control import without_pictures
from vlreward.records import PreferencePair, Response
from vlreward.scoring import RewardModel

_EPSILON = 1e-6
"""So that a pair that both order with certainty has a weight, too: nearly none."""


def blind(pair: PreferencePair) -> PreferencePair:
    """The pair with words in the place of its pictures."""
    return replace(
        pair,
        prompt=without_pictures(pair.prompt),
        chosen=_blind_response(pair.chosen),
        rejected=_blind_response(pair.rejected),
    )


def _blind_response(response: Response) -> Response:
    texts = tuple(part if isinstance(part, str) else "[picture]" for part in response.content)
    return replace(response, content=texts)


def losses_of_words(
    proxy: RewardModel, pairs: Iterable[PreferencePair], *, advance: Callable[[], None]
) -> dict[str, float]:
    """−log σ(r_chosen − r_rejected) of each pair that has pictures, without them, by its id."""
    shown = [pair for pair in pairs if pair.has_pictures]
    blinded = map(blind, shown)
    scores = proxy.score_many((one.prompt, [one.chosen, one.rejected]) for one in blinded)
    found = {}
    for pair, (chosen, rejected) in zip(shown, scores, strict=True):
        margin = torch.tensor(chosen.value - rejected.value)
        found[pair.id] = float(softplus(-margin))
        advance()
    return found


def weights_of(loss_P: Tensor, *, pair_ids: Sequence[str], words: Mapping[str, float]) -> Tensor:
    """2 · w / (w + m) for each pair [P], w being the proxy's loss and m the model's own now.

    1 where both are as sure, and for pairs that the proxy knows nothing of; no gradient flows.
    """
    known_P = torch.tensor([words.get(one, float("nan")) for one in pair_ids])
    own_P = loss_P.detach()
    known_P = known_P.to(own_P)
    weight_P = 2 * (known_P + _EPSILON) / (known_P + own_P + 2 * _EPSILON)
    return torch.where(known_P.isnan(), torch.ones_like(own_P), weight_P)
