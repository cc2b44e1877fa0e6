"""From outcomes to credits: when a row counts as right, and what ties and unread replies count.

A credit is 1, 0 or between; None takes the row out of the denominator. A row without any result
(`failure`) is always taken out, and reported.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlreward.errors import ConfigError
from vlreward.evaluation.outcomes import Outcome, Vote
from vlreward.evaluation.scorers.config import AnswerOrder

Credits = list[float | None]
GradeVotes = Callable[[Sequence[Outcome]], Credits]
"""The credits of outcomes that have votes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How a judge's votes are counted.

    `figures` are those that it reports (None: all); `label` says what it did with given outcomes,
    where its name alone does not tell. `order` is how the tool that it is of shows the answers,
    asking once; None where any way will do.
    """

    name: str
    about: str
    grade: GradeVotes
    figures: tuple[str, ...] | None = None
    label: Callable[[Sequence[Outcome]], str] | None = None
    order: AnswerOrder | None = None


def grade(outcomes: Sequence[Outcome], *, protocol: Protocol) -> Credits:
    """The credit of every outcome: scores strictly, votes by the protocol, failures None."""
    judged = [outcome for outcome in outcomes if outcome.votes]
    by_votes = iter(protocol.grade(judged))
    return [
        strict(outcome) if outcome.scores else next(by_votes) if outcome.votes else None
        for outcome in outcomes
    ]


def strict(outcome: Outcome) -> float:
    """1 if every response with the highest score is right: a tie with a wrong one is a loss."""
    return float(set(outcome.best) <= set(outcome.right))


def by_majority(outcomes: Sequence[Outcome], *, undecided: float | None) -> Credits:
    """By what more than half of a row's readable votes name; else `undecided`."""
    return [_majority(outcome.votes, outcome, undecided=undecided) for outcome in outcomes]


def by_first_vote(
    outcomes: Sequence[Outcome], *, undecided: Callable[[Outcome], float | None]
) -> Credits:
    """By each row's first vote alone; one that names no winner counts what `undecided` says."""
    return [
        undecided(outcome)
        if outcome.votes[0].winner is None
        else float(outcome.votes[0].winner in outcome.right)
        for outcome in outcomes
    ]


def coin(outcome: Outcome) -> float:
    """1 or 0 by chance, always the same for one row."""
    digest = hashlib.sha256(f"coin:{outcome.id}:{outcome.fingerprint}".encode()).digest()
    return float(digest[0] & 1)


_SCHEDULE = (1, 3, 5, 7, 9)
"""The numbers of votes that VL-RewardBench's own script goes through, with one generator."""


def first_of_shuffled(outcomes: Sequence[Outcome], *, num_votes: int | None) -> Credits:
    """VL-RewardBench's count over `num_votes` of each row's votes, drawn at random.

    All votes, in the order of the rows, are shuffled as its cal.py does (seed 1234, one generator
    through K = 1, 3, 5, 7, 9), and of each row the first K are taken. A row with a vote among them
    that could not be read, or without a majority, leaves the denominator. Without `num_votes`, K
    is the largest for which every row has votes enough (`votes_drawn`).
    """
    wanted = votes_drawn(outcomes, num_votes=num_votes)
    order = _shuffled(sum(len(outcome.votes) for outcome in outcomes), num_votes=wanted)
    owners = [(row, vote) for row, one in enumerate(outcomes) for vote in one.votes]
    drawn: list[list[Vote]] = [[] for _ in outcomes]
    for place in order:
        row, vote = owners[place]
        if len(drawn[row]) < wanted:
            drawn[row].append(vote)
    return [
        None
        if any(vote.winner is None for vote in votes)
        else _majority(votes, outcome, undecided=None)
        for outcome, votes in zip(outcomes, drawn, strict=True)
    ]


def votes_drawn(outcomes: Sequence[Outcome], *, num_votes: int | None) -> int:
    """K of `first_of_shuffled`; raises ConfigError on a number that the authors do not report."""
    least = min((len(outcome.votes) for outcome in outcomes), default=1)
    wanted = num_votes or max(k for k in _SCHEDULE if k <= max(least, 1))
    if wanted not in _SCHEDULE:
        raise ConfigError(
            "protocol-votes",
            value=wanted,
            place="num_votes",
            expected=f"one of {', '.join(map(str, _SCHEDULE))}",
            mend="Choose an odd number of votes that the benchmark's authors report.",
        )
    return wanted


def _shuffled(number: int, *, num_votes: int) -> list[int]:
    generator = random.Random(1234)
    for k in _SCHEDULE:
        order = list(range(number))
        for index in range(number):
            other = generator.randint(0, number - 1)
            order[index], order[other] = order[other], order[index]
        if k == num_votes:
            break
    return order


def _majority(votes: Sequence[Vote], outcome: Outcome, *, undecided: float | None) -> float | None:
    readable = [vote.winner for vote in votes if vote.failure is None]
    for winner in set(readable) - {None}:
        if readable.count(winner) * 2 > len(readable):
            return float(winner in outcome.right)
    return undecided
