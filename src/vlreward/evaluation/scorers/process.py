"""Process reward models: every step of an answer gets a score, and the steps make the answer's.

As VisualPRM (arXiv 2503.10291) is asked: the question comes with the first step, each further step
is a turn of its own, and after each the model says whether all is sound so far. One pass reads what
it would say after every step; a step's score is how probable `good` is beside `bad`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vlreward.collation.encoding import Span, Tree
from vlreward.errors import ConfigError, DataError, VlrewardError
from vlreward.evaluation.judges.local import MAX_PROMPT_TOKENS
from vlreward.evaluation.scorers.config import ProcessConfig, StepAggregate
from vlreward.evaluation.scorers.language_models import (
    LanguageModel,
    Reading,
    load_language_model,
    windows,
)
from vlreward.evaluation.scorers.protocols import Comparison, PatientScorer
from vlreward.records import Message, Part, Prompt, Response, Score

_AT_A_TIME = 16
_CUTS: Mapping[str, str] = {"paragraphs": r"\n\s*\n", "lines": r"\n"}

Step = tuple[Part, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessScorer(PatientScorer):
    """An `interfaces.Scorer`; `verdict_ids` are the tokens for a sound and a flawed step."""

    model: LanguageModel
    config: ProcessConfig
    verdict_ids: tuple[int, int]

    def score_each(
        self, comparisons: Iterable[Comparison]
    ) -> Iterator[list[Score] | VlrewardError]:
        """See `PatientScorer`."""
        for window in windows(iter(comparisons), size=_AT_A_TIME):
            for outcome in self.score_steps(window):
                if isinstance(outcome, VlrewardError):
                    yield outcome
                else:
                    yield [
                        Score(value=aggregate(steps, by=self.config.aggregate), num_tokens=0)
                        for steps in outcome
                    ]

    def score_steps(
        self, comparisons: Sequence[Comparison]
    ) -> list[list[list[float]] | VlrewardError]:
        """For each response the scores of its steps, between 0 and 1, in their order."""
        readings: list[Reading] = []
        owners: list[tuple[int, int]] = []
        errors: dict[int, VlrewardError] = {}
        for index, (prompt, responses) in enumerate(comparisons):
            try:
                made = [self._readings(prompt, response) for response in responses]
            except DataError as error:
                errors[index] = error
                continue
            for answer, parts in enumerate(made):
                readings += parts
                owners += [(index, answer)] * len(parts)
        found = self.model.read(readings, interpret=lambda *known: self._probabilities(known[-1]))
        steps: dict[tuple[int, int], list[float]] = {owner: [] for owner in owners}
        for owner, outcome in zip(owners, found, strict=True):
            if isinstance(outcome, VlrewardError):
                errors[owner[0]] = outcome
            else:
                steps[owner] += [value for branch in outcome for value in branch]
        return [
            errors[index]
            if index in errors
            else [steps[index, answer] for answer in range(len(responses))]
            for index, (_, responses) in enumerate(comparisons)
        ]

    def _readings(self, prompt: Prompt, response: Response) -> list[Reading]:
        """Where the model would speak after each step: in one conversation, if it may be.

        Where a tokenizer reads a turn's opening otherwise once it has an answer, each step is a
        conversation of its own.
        """
        steps = steps_of(response, cut=_CUTS[self.config.steps])
        spans = [
            self.model.encoder.encode_opening(
                _conversation(prompt, steps[: number + 1], reply=self.config.good)
            )
            for number in range(len(steps))
        ]
        last = spans[-1]
        if all(np.array_equal(last.ids[: len(span)], span.ids) for span in spans):
            return [Reading(_tree(last), (tuple(len(span) - 1 for span in spans),))]
        return [Reading(_tree(span), ((len(span) - 1,),)) for span in spans]

    def _probabilities(self, hidden_AC: Tensor) -> list[float]:
        logits_A2 = self.model.logits(hidden_AC)[:, list(self.verdict_ids)]
        values: list[float] = torch.softmax(logits_A2.double(), dim=-1)[:, 0].tolist()
        return values


def load_process(config: ProcessConfig) -> ProcessScorer:
    """The scorer of a configuration; raises CheckpointError or ConfigError if it cannot be used."""
    model = load_language_model(config.model, max_length=MAX_PROMPT_TOKENS)
    return ProcessScorer(
        model=model,
        config=config,
        verdict_ids=(
            _single_id(model, config.good, place="good"),
            _single_id(model, config.bad, place="bad"),
        ),
    )


def steps_of(response: Response, *, cut: str) -> list[Step]:
    """An answer's steps: its text cut where the pattern matches, pictures in the step they are in.

    Raises DataError for an answer without any.
    """
    steps: list[list[Part]] = [[]]
    for part in response.content:
        if not isinstance(part, str):
            steps[-1].append(part)
            continue
        first, *others = re.split(cut, part)
        steps[-1].append(first)
        steps += [[other] for other in others]
    found = [tuple(step) for step in steps if _says_something(step)]
    if not found:
        raise DataError(
            "answer-empty",
            value="white space or nothing",
            place="row",
            expected="an answer of at least one step",
            mend="Drop the row.",
        )
    return found


def aggregate(steps: Sequence[float], *, by: StepAggregate) -> float:
    """The answer's score: the mean of its steps', the lowest, or the last."""
    if by == "mean":
        return math.fsum(steps) / len(steps)
    return min(steps) if by == "min" else steps[-1]


def _says_something(step: Iterable[Part]) -> bool:
    return any(not isinstance(part, str) or part.strip() for part in step)


def _conversation(prompt: Prompt, steps: Sequence[Step], *, reply: str) -> Prompt:
    """The question with the first step, then each step a turn, every earlier one found sound."""
    *before, question = prompt.messages
    content = ("### Question:\n", *question.content, "\n\n### Solution Process:\n", *steps[0])
    messages = [*before, replace(question, content=content)]
    for step in steps[1:]:
        messages.append(Message(role="assistant", content=(reply,)))
        messages.append(Message(role="user", content=step))
    return Prompt(messages=tuple(messages))


def _tree(span: Span) -> Tree:
    """A conversation by itself; its first token, which is no picture's, is the prefix."""
    first = Span(ids=span.ids[:1], positions=span.positions[:, :1], pictures=(), grids=())
    rest = replace(span, ids=span.ids[1:], positions=span.positions[:, 1:])
    return Tree(prefix=first, branches=(rest,), truncated_tokens=(0,))


def _single_id(model: LanguageModel, word: str, *, place: str) -> int:
    ids = model.tokenizer.encode(word)
    if len(ids) != 1:
        raise ConfigError(
            "verdict-not-a-token",
            value=word,
            place=f"process.{place}",
            expected="a word that is one token of the model",
            mend="Name what the model was trained to say.",
        )
    return ids[0]
