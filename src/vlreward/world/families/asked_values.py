"""Questions to labelled values, however they are drawn: charts, tables."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlreward.world.scenes import Answer, Question


@dataclass(frozen=True, kw_only=True, slots=True)
class AskValues:
    """Asks for the extreme value, for one label's, and for two labels' sum or difference."""

    labels: tuple[str, str]
    """Whose values are asked for, the first one's alone too."""
    noun: str
    """What carries a value: bar, slice."""
    extreme: str
    """What the greatest value is called: longest, largest."""
    unit: str
    asks_for_sum: bool

    @classmethod
    def about(
        cls, rng: random.Random, labels: Sequence[str], *, noun: str, extreme: str, unit: str = ""
    ) -> AskValues:
        """Picks two of the labels and what is asked of both."""
        first, second = rng.sample(list(labels), 2)
        return cls(
            labels=(first, second),
            noun=noun,
            extreme=extreme,
            unit=unit,
            asks_for_sum=rng.random() < 0.5,
        )

    def __call__(self, values: Mapping[str, int]) -> tuple[Question, ...]:
        """The questions with their answers for these values."""
        return self._extreme_question(values), self._reading(values), self._arithmetic(values)

    def phrase(self, label: str, values: Mapping[str, int]) -> str:
        """What is to be said of one label's part: its value, and whether it is the greatest."""
        is_top = values[label] == max(values.values())
        return f"{label} {self.extreme if is_top else 'is'} {values[label]}{self.unit}"

    def _extreme_question(self, values: Mapping[str, int]) -> Question:
        top = max(values, key=lambda label: values[label])
        return Question(
            skill="comparison",
            text=f"Which {self.noun} is the {self.extreme}?",
            answer=Answer(
                value=top,
                sentence=f"The {self.extreme} {self.noun} is {top}.",
                steps=tuple(self._say(label, values) for label in values),
            ),
        )

    def _reading(self, values: Mapping[str, int]) -> Question:
        label = self.labels[0]
        return Question(
            skill="reading",
            text=f"What is the value of {label}?",
            answer=Answer(value=f"{values[label]}{self.unit}", sentence=self._say(label, values)),
        )

    def _arithmetic(self, values: Mapping[str, int]) -> Question:
        first, second = self.labels
        high, low = max(values[first], values[second]), min(values[first], values[second])
        if self.asks_for_sum:
            text = f"What do {first} and {second} make together?"
            found, sign = high + low, "+"
            said = f"Together they make {found}{self.unit}."
        else:
            text = f"By how much do {first} and {second} differ?"
            found, sign = high - low, "-"
            said = f"They differ by {found}{self.unit}."
        steps = (
            self._say(first, values),
            self._say(second, values),
            f"{high} {sign} {low} = {found}.",
        )
        return Question(
            skill="arithmetic",
            text=text,
            answer=Answer(value=f"{found}{self.unit}", sentence=said, steps=steps),
        )

    def _say(self, label: str, values: Mapping[str, int]) -> str:
        return f"{label} is {values[label]}{self.unit}."
