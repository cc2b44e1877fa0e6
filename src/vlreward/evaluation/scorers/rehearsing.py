"""What asking will take, before anything is asked: stand-ins that count questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vlreward.errors import DataError, VlrewardError
from vlreward.evaluation.judges.respondents import Question, Said, requests_of
from vlreward.evaluation.scorers.protocols import Comparison, PatientScorer
from vlreward.generation.client import Connection
from vlreward.generation.estimate import Estimate, estimate, usual_text
from vlreward.generation.outcomes import Failure
from vlreward.progress import Advance
from vlreward.records import Score

_SOME_WORDS = " ".join(["word"] * 200)


@dataclass(frozen=True, kw_only=True, slots=True)
class CountingRespondent:
    """In the place of a model behind an API: adds what the questions will take to `found`.

    It says texts of the usual length, so that what is asked about them is counted as well.
    """

    connection: Connection
    found: list[Estimate]

    def answer(
        self, questions: Sequence[Question], *, progress: Advance | None = None
    ) -> list[Said | Failure]:
        """See `Respondent`; raises ConfigError if no price is known."""
        del progress
        endpoint, journal = self.connection.endpoint, self.connection.journal
        requests = requests_of(questions, endpoint=endpoint)
        self.found.append(estimate(requests, endpoint=endpoint, journal=journal))
        return [Said(usual_text(one.kind, endpoint=endpoint, journal=journal)) for one in questions]


class SilentRespondent:
    """In the place of a model in this process, which costs nothing; says as much as such may."""

    def answer(
        self, questions: Sequence[Question], *, progress: Advance | None = None
    ) -> list[Said | Failure]:
        """See `Respondent`."""
        del progress
        return [Said(_SOME_WORDS) for _ in questions]


class SilentScorer(PatientScorer):
    """In the place of a scorer in this process, which costs nothing."""

    def score_each(
        self, comparisons: Iterable[Comparison]
    ) -> Iterator[list[Score] | VlrewardError]:
        """See `PatientScorer`; no score for any."""
        for _ in comparisons:
            yield DataError(
                "only-rehearsed",
                value="nothing",
                place="scorer",
                expected="a run that scores",
                mend="Run without --dry-run.",
            )
