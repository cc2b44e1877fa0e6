"""Answers of known quality: the same truth said well, said badly, or not said at all.

Whoever compares two answers about truth must write both with the same `Form`, so that their words
differ only in what the scenes' differ in.
"""

from __future__ import annotations

import random
from typing import Literal

from vlreward.world.scenes import Answer
from vlreward.world.wording import sentence

Form = Literal["value", "sentence", "explained", "rambling"]
Quality = Literal[
    "right", "rambling", "repeating", "wrong reasoning", "wrong", "off the question", "refusal"
]
"""Right and concise; right but rambling; right but said again and again; right by steps that are
not so; plausible and wrong (in the family `objects`, that is an invented object); an answer to
something else; none."""

_OPENINGS = (
    "Let me look at the picture.",
    "Okay, so I have to look at this carefully.",
    "Hmm, let me think about this.",
    "Alright, what do we have here?",
)
_DOUBTS = (
    "Wait, that is not right.",
    "No, let me look again.",
    "Hmm, actually, I am not sure about that.",
    "But hold on, I should check this.",
)
_REPEATS = (
    "Let me go through it once more.",
    "Let me double-check, just to be sure.",
    "To be safe, I will check it again.",
)
_AGAINS = ("As I said,", "Once more:", "To say it again:", "That is to say,")
REFUSALS = (
    "I'm sorry, but I cannot answer this question.",
    "I am not able to help with that.",
    "I cannot see the picture, so I do not know.",
    "Unfortunately, I cannot tell.",
)
"""Everything that `refuse` says."""


def forms_of(answer: Answer) -> tuple[Form, ...]:
    """The forms in which the answer can be concise."""
    return ("value", "sentence", "explained") if answer.steps else ("value", "sentence")


def write(answer: Answer, form: Form, *, instead: Answer, variant: int) -> str:
    """The answer in the form; `variant` picks among phrasings, `instead` is who rambles' first try.

    With the same form and variant, two answers with the roles exchanged differ only in what the
    answers themselves say.
    """
    if form == "value":
        return sentence(answer.value)
    if form == "sentence":
        return answer.sentence
    if form == "explained":
        return explain(answer, conclusion=answer)
    return ramble(answer, first_try=instead, variant=variant)


def explain(answer: Answer, *, conclusion: Answer) -> str:
    """The steps of one answer, then the conclusion of another (of itself, in a sound answer)."""
    return " ".join((*answer.steps, f"So the answer is {conclusion.value}."))


def ramble(answer: Answer, *, first_try: Answer, variant: int) -> str:
    """Right in the end: a false start, doubts, the same steps twice, the result thrice."""
    pick = random.Random(variant)
    steps = answer.steps or (answer.sentence,)
    return " ".join(
        (
            pick.choice(_OPENINGS),
            first_try.sentence,
            pick.choice(_DOUBTS),
            *steps,
            pick.choice(_REPEATS),
            *steps,
            f"So the answer is {answer.value}. Yes, {answer.value}. {answer.sentence}",
        )
    )


def repeat(answer: Answer, *, variant: int) -> str:
    """Right at once, then the same steps and the same result again."""
    pick = random.Random(variant)
    steps = answer.steps or (answer.sentence,)
    once = (*steps, answer.sentence)
    return " ".join((*once, pick.choice(_AGAINS), *once, answer.sentence))


def refuse(variant: int) -> str:
    """A refusal."""
    return REFUSALS[variant % len(REFUSALS)]
