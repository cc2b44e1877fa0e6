"""An exam on the miniature world, and a scorer that knows its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vlreward.evaluation.scorers.protocols import PatientScorer
from vlreward.records import Prompt, Response, Score
from vlreward.workflows.world_exam import WorldExam

EXAM = WorldExam.draw(num_pictures=306, num_text_pairs=60, seed=3)


class KnowsAnswers(PatientScorer):
    """Scores chosen answers of the exam 1, and all others 0."""

    def __init__(self) -> None:
        pairs = [one.pair for one in (*EXAM.seen, *EXAM.text, *EXAM.unseen)]
        self.right = {(pair.prompt, pair.chosen) for pair in pairs}

    def score_each(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score]]:
        for prompt, responses in comparisons:
            yield [
                Score(value=float((prompt, one) in self.right), num_tokens=1) for one in responses
            ]
