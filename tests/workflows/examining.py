"""An exam on the miniature world, and a scorer that knows its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from vlreward.evaluation.scorers.protocols import PatientScorer
from vlreward.records import Prompt, Response, Score
from vlreward.workflows.world_exam import WorldExam

EXAM = WorldExam.draw(num_pictures=306, num_text_pairs=60, seed=3)


class KnowsAnswers(PatientScorer):
    """Scores an answer by how often it is chosen in the exam, less how often it is rejected.

    One that rambles may be chosen over a wrong one and rejected for a concise one.
    """

    def __init__(self) -> None:
        self.known: Counter[tuple[Prompt, Response]] = Counter()
        for one in (*EXAM.seen, *EXAM.text, *EXAM.unseen):
            self.known[one.pair.prompt, one.pair.chosen] += 1
            self.known[one.pair.prompt, one.pair.rejected] -= 1

    def score_each(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score]]:
        for prompt, responses in comparisons:
            yield [Score(value=float(self.known[prompt, one]), num_tokens=1) for one in responses]
