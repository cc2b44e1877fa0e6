"""The worst mistakes of a scorer or judge, with pictures and both answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vlreward.evaluation.examples import Example
from vlreward.evaluation.outcomes import Outcome
from vlreward.workflows.measurements import Measurement
from vlreward.workflows.pages import content, conversation, escape

_NUM_MISTAKES = 6


class Mistake(NamedTuple):
    """A row, a right response of it and the wrong one that was preferred; worse is more wrong."""

    example: Example
    outcome: Outcome
    right: int
    wrong: int
    worse: float


def worst_mistakes(one: Measurement, *, number: int = _NUM_MISTAKES) -> list[Mistake]:
    """Rows with a wrong winner and a right response, those with the widest lead first."""
    found = []
    for example, outcome in zip(one.benchmark.rows.examples, one.outcomes, strict=True):
        mistake = _mistake(example, outcome)
        if mistake is not None:
            found.append(mistake)
    return sorted(found, key=lambda mistake: (-mistake.worse, mistake.outcome.id))[:number]


def mistakes_section(one: Measurement) -> Iterator[str]:
    """The mistakes as markup; nothing where there are none."""
    found = worst_mistakes(one)
    if found:
        yield f"<details open><summary>The worst mistakes ({len(found)})</summary>"
        yield from (_shown(mistake) for mistake in found)
        yield "</details>"


def _mistake(example: Example, outcome: Outcome) -> Mistake | None:
    winner = outcome.winner
    if winner is None or winner in outcome.right or not outcome.right:
        return None
    if outcome.scores:
        right = max(outcome.right, key=lambda index: outcome.scores[index])
        worse = outcome.scores[winner] - outcome.scores[right]
    else:
        named = [vote.winner for vote in outcome.votes]
        right = max(outcome.right, key=named.count)
        worse = (named.count(winner) - named.count(right)) / len(named)
    return Mistake(example, outcome, right, winner, worse)


def _shown(mistake: Mistake) -> str:
    example = mistake.example
    where = " / ".join(dict.fromkeys([example.group, example.subset, example.id]))
    asked = conversation(example.prompt)
    sides = (("right", mistake.right), ("preferred, but wrong", mistake.wrong))
    answers = "".join(
        f'<div><div class="reward">{title}: {_said(mistake.outcome, index)}</div>'
        f"{content(example.responses[index].content)}</div>"
        for title, index in sides
    )
    return f'<p class="note">{escape(where)}</p>{asked}<div class="pair">{answers}</div>'


def _said(outcome: Outcome, index: int) -> str:
    if outcome.scores:
        return f"{outcome.scores[index]:+.2f}"
    named = [vote.winner for vote in outcome.votes]
    return f"{named.count(index)} of {len(named)} votes"
