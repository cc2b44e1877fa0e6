"""A language model that rates each answer by itself from 1 to 10: a scorer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vlreward.errors import DataError, VlrewardError
from vlreward.evaluation.judges.respondents import Question, Respondent, Said
from vlreward.evaluation.outcomes import total
from vlreward.evaluation.scorers.protocols import Comparison, PatientScorer
from vlreward.generation.labels import RATING_SCHEMA, read_rating
from vlreward.generation.outcomes import Failure, no_answer
from vlreward.generation.templates import Template, conversation_of
from vlreward.interfaces import Verdict
from vlreward.progress import Advance
from vlreward.records import Prompt, Response, Score

_LARGEST_DIFFERENCE = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class RatingScorer(PatientScorer):
    """An `interfaces.Scorer`, and by comparing ratings an `interfaces.Judge`.

    A score is the mean of `num_votes` ratings; of those that can be read, if some cannot.
    """

    respondent: Respondent
    template: Template
    num_votes: int = 1
    progress: Advance | None = None

    def score_each(
        self, comparisons: Iterable[Comparison]
    ) -> Iterator[list[Score] | VlrewardError]:
        """See `PatientScorer`; all answers are rated before the first result."""
        given = list(comparisons)
        questions = [
            Question(
                messages=self.template.fill(
                    conversation=conversation_of(prompt), answer=response.content
                ),
                kind="judge-rating",
                sample=sample,
                json_schema=RATING_SCHEMA,
            )
            for prompt, responses in given
            for response in responses
            for sample in range(self.num_votes)
        ]
        replies = iter(self.respondent.answer(questions, progress=self.progress))
        for _, responses in given:
            yield _row([[next(replies) for _ in range(self.num_votes)] for _ in responses])

    def judge(self, prompt: Prompt, first: Response, second: Response) -> Verdict:
        """The one with the higher rating; `confidence` grows with their difference."""
        [scores] = self.score_many([(prompt, [first, second])])
        difference = scores[0].value - scores[1].value
        confidence = 0.5 + abs(difference) / _LARGEST_DIFFERENCE / 2
        if difference == 0:
            return Verdict(better="equal", confidence=confidence)
        return Verdict(better="first" if difference > 0 else "second", confidence=confidence)


def _row(replies: Sequence[Sequence[Said | Failure]]) -> list[Score] | VlrewardError:
    """The scores of a comparison's responses, or why one of them has none."""
    scores = []
    for index, heard in enumerate(replies):
        failed = next((one for one in heard if isinstance(one, Failure)), None)
        if failed is not None:
            return no_answer(failed, place=f"responses[{index}]")
        said = [one.text for one in heard if isinstance(one, Said)]
        ratings = [found.value for text in said if (found := read_rating(text)) is not None]
        if not ratings:
            return DataError(
                "rating-unreadable",
                value=said[-1][-200:],
                place=f"responses[{index}]",
                expected="a JSON object with reason and rating",
                mend="Choose another model, or write a prompt that it follows.",
            )
        scores.append(
            Score(
                value=math.fsum(ratings) / len(ratings),
                num_tokens=0,
                dollars=total(one.dollars for one in heard),
            )
        )
    return scores
