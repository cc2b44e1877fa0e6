"""The reward that a policy implies (DPO, arXiv 2305.18290): how probable it finds an answer.

With a reference, log π(y|x) − log π_ref(y|x), summed over the answer's tokens and without β, as
RewardBench counts it; without one, log π(y|x).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vlreward.errors import DataError, NonFiniteError, VlrewardError
from vlreward.evaluation.scorers.config import ImplicitConfig
from vlreward.evaluation.scorers.language_models import (
    LanguageModel,
    Reading,
    answer_of,
    load_language_model,
    windows,
)
from vlreward.evaluation.scorers.protocols import Comparison, PatientScorer
from vlreward.records import Score

MAX_LENGTH = 2048
"""RewardBench's, for such models."""
_AT_A_TIME = 64
_TOKENS_AT_A_TIME = 256
"""Of how many tokens the logits are held at once: a vocabulary is wide."""


class _Known(NamedTuple):
    """An answer's log-probability, its number of tokens, and what a score tells beside."""

    log_probability: float
    num_answer_tokens: int
    num_tokens: int
    truncated_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImplicitScorer(PatientScorer):
    """An `interfaces.Scorer`; answers beyond the policy's `max_length` lose words at their end."""

    policy: LanguageModel
    reference: LanguageModel | None = None
    normalise: Literal["none", "length"] = "none"

    def score_each(
        self, comparisons: Iterable[Comparison]
    ) -> Iterator[list[Score] | VlrewardError]:
        """See `PatientScorer`."""
        for window in windows(iter(comparisons), size=_AT_A_TIME):
            of_policy = log_probabilities(self.policy, window)
            of_reference = (
                [None] * len(window)
                if self.reference is None
                else log_probabilities(self.reference, window)
            )
            for known, referred in zip(of_policy, of_reference, strict=True):
                if isinstance(known, VlrewardError):
                    yield known
                elif isinstance(referred, VlrewardError):
                    yield referred
                else:
                    yield self._scores(known, referred)

    def _scores(
        self, known: Sequence[_Known], referred: Sequence[_Known] | None
    ) -> list[Score] | NonFiniteError:
        values = [
            one.log_probability - (0.0 if referred is None else referred[index].log_probability)
            for index, one in enumerate(known)
        ]
        if self.normalise == "length":
            values = [v / one.num_answer_tokens for v, one in zip(values, known, strict=True)]
        if not torch.tensor(values).isfinite().all():
            return NonFiniteError(
                "reward-not-finite",
                value="NaN or infinity among the log-probabilities",
                place="scoring",
                expected="finite numbers",
                mend="Load the model in bfloat16 or float32.",
            )
        return [
            Score(value=v, num_tokens=one.num_tokens, truncated_tokens=one.truncated_tokens)
            for v, one in zip(values, known, strict=True)
        ]


def load_implicit(config: ImplicitConfig) -> ImplicitScorer:
    """The scorer of a configuration; raises CheckpointError if a model cannot be used."""
    reference = config.reference
    return ImplicitScorer(
        policy=load_language_model(config.policy, max_length=MAX_LENGTH),
        reference=None
        if reference is None
        else load_language_model(reference, max_length=MAX_LENGTH),
        normalise=config.normalise,
    )


def log_probabilities(
    model: LanguageModel, comparisons: Sequence[Comparison]
) -> list[list[_Known] | VlrewardError]:
    """Of each response the sum of its tokens' log-probabilities, the closing one's included."""
    out: list[list[_Known] | VlrewardError] = [[] for _ in comparisons]
    readings: list[Reading] = []
    owners: list[int] = []
    for index, (prompt, responses) in enumerate(comparisons):
        try:
            tree = model.encoder.encode(prompt, responses)
            opening = model.encoder.encode_opening(prompt).ids.tolist()
        except DataError as error:
            out[index] = error
            continue
        spans = [
            answer_of(model.encoder, tree, opening=opening, branch=branch)
            for branch in range(len(responses))
        ]
        owners.append(index)
        readings.append(Reading(tree, tuple(tuple(at - 1 for at in span) for span in spans)))

    def interpret(index: int, branch: int, hidden_AC: Tensor) -> _Known:
        tree, places = readings[index]
        own = tree.branches[branch]
        ids = torch.tensor([*tree.prefix.ids.tolist(), *own.ids.tolist()])
        target_A = ids[torch.tensor(places[branch]) + 1].to(hidden_AC.device)
        return _Known(
            _sum_of_logs(model, hidden_AC, target_A=target_A),
            len(target_A),
            len(ids),
            tree.truncated_tokens[branch],
        )

    for owner, found in zip(owners, model.read(readings, interpret=interpret), strict=True):
        out[owner] = found
    return out


def _sum_of_logs(model: LanguageModel, hidden_AC: Tensor, *, target_A: Tensor) -> float:
    total = 0.0
    for start in range(0, len(target_A), _TOKENS_AT_A_TIME):
        part = slice(start, start + _TOKENS_AT_A_TIME)
        logs_AV = torch.log_softmax(model.logits(hidden_AC[part]), dim=-1)
        chosen_A = logs_AV.gather(1, target_A[part, None])
        total += chosen_A.double().sum().item()
    return total
