"""What the world consists of: scenes with their truth, and questions with right answers.

A family is a function that picks a topic and returns how to draw scenes of it. All scenes of one
topic are asked the same questions; where their answers differ, the right answer of one is the
plausible wrong answer of the other. So a text (question, right, wrong) occurs exactly as often as
(question, wrong, right), and a judge that does not look is right half of the time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vlreward.world.canvas import Painting
from vlreward.world.style import Style

Skill = Literal["perception", "counting", "reading", "comparison", "arithmetic"]
Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A right answer: its bare value, a sentence that says it, and sound steps that lead there.

    Steps are sentences that are true of the scene; there may be none where nothing leads there but
    looking.
    """

    value: str
    sentence: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question to a scene with its right answer there."""

    skill: Skill
    text: str
    answer: Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One or more pictures, all that can be seen in them, and questions to them."""

    paintings: tuple[Painting, ...]
    facts: tuple[str, ...]
    """Sentences in reading order which together say everything that was drawn."""
    questions: tuple[Question, ...]
    difficulty: Difficulty


Painter = Callable[[random.Random, Style], Scene]
"""Draws another scene of a topic in a style."""

Family = Callable[[random.Random], Painter]
"""Picks a topic: what is fixed over scenes that are compared, the wording of questions included."""


def difficulty_of(number: float, bounds: tuple[float, float]) -> Difficulty:
    """Easy up to the first bound, medium up to the second, hard above."""
    if number <= bounds[0]:
        return "easy"
    return "medium" if number <= bounds[1] else "hard"
