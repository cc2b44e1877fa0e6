"""From a benchmark's examples to outcomes, by a scorer or a judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from vlreward.errors import ConfigError, VlrewardError
from vlreward.evaluation.examples import Example
from vlreward.evaluation.outcomes import Outcome, outcome_of, total
from vlreward.evaluation.scorers.protocols import PatientScorer, VotingJudge
from vlreward.progress import Advance

_NOT_A_PAIR = "judge-wants-two"


def assess(
    examples: Sequence[Example],
    assessor: PatientScorer | VotingJudge,
    *,
    rows_at_a_time: int = 64,
    progress: Advance | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Outcome]:
    """An outcome for each example, in their order, as soon as the rows asked with it are done.

    A row that cannot be scored has the code of its error for a failure. A judge compares two
    responses: a row with another number of them fails. A scorer's seconds are its share of those of
    the rows that were scored together. `progress` hears of rows scored, or of a judge's replies.
    """
    if not isinstance(assessor, (PatientScorer, VotingJudge)):
        raise _not_a_scorer(assessor)
    return _in_windows(
        examples, assessor, rows_at_a_time=rows_at_a_time, progress=progress, clock=clock
    )


def _not_a_scorer(found: object) -> ConfigError:
    return ConfigError(
        "not-a-scorer",
        value=type(found).__name__,
        place="scorer",
        expected="score_each, or vote_each",
        mend="Open it with vlreward.evaluation.scorers.opening.",
    )


def _in_windows(
    examples: Sequence[Example],
    assessor: PatientScorer | VotingJudge,
    *,
    rows_at_a_time: int,
    progress: Advance | None,
    clock: Callable[[], float],
) -> Iterator[Outcome]:
    source = iter(examples)
    while window := list(islice(source, rows_at_a_time)):
        if isinstance(assessor, PatientScorer):
            yield from _scored(window, assessor, progress=progress, clock=clock)
        else:
            yield from _judged(window, assessor, progress=progress)


def _scored(
    window: Sequence[Example],
    scorer: PatientScorer,
    *,
    progress: Advance | None,
    clock: Callable[[], float],
) -> Iterator[Outcome]:
    started = clock()
    results = list(scorer.score_each((one.prompt, one.responses) for one in window))
    seconds = (clock() - started) / len(window)
    for example, result in zip(window, results, strict=True):
        if progress is not None:
            progress()
        if isinstance(result, VlrewardError):
            yield outcome_of(example, failure=result.code, seconds=seconds)
        else:
            yield outcome_of(
                example,
                scores=tuple(score.value for score in result),
                num_truncated=sum(score.truncated_tokens > 0 for score in result),
                seconds=seconds,
                dollars=total(score.dollars for score in result),
            )


def _judged(
    window: Sequence[Example], judge: VotingJudge, *, progress: Advance | None
) -> Iterator[Outcome]:
    pairs = [example for example in window if len(example.responses) == 2]
    duels = [(one.prompt, one.responses[0], one.responses[1]) for one in pairs]
    ballots = iter(judge.vote_each(duels, progress=progress))
    for example in window:
        if len(example.responses) != 2:
            yield outcome_of(example, failure=_NOT_A_PAIR)
            continue
        ballot = next(ballots)
        if isinstance(ballot, VlrewardError):
            yield outcome_of(example, failure=ballot.code)
        else:
            yield outcome_of(
                example, votes=ballot.votes, seconds=ballot.seconds, dollars=ballot.dollars
            )
