"""Descriptions of the pictures behind the question, for any scorer or judge.

As Fact-RLHF (arXiv 2309.14525) gives its reward model the captions of a picture, so that it can
hold an answer against facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from vlreward.errors import DataError, VlrewardError
from vlreward.evaluation.judges.respondents import Question, Respondent
from vlreward.evaluation.scorers.protocols import (
    Ballot,
    Comparison,
    Duel,
    PatientScorer,
    VotingJudge,
    raising,
)
from vlreward.generation.outcomes import Failure, no_answer
from vlreward.generation.templates import conversation_of, load_template
from vlreward.interfaces import Verdict
from vlreward.picture_control import without_pictures
from vlreward.progress import Advance
from vlreward.records import Prompt, Response, Score

_HEADING = "\n\nWhat the pictures show:\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Captioner:
    """Puts a model's description of a prompt's pictures behind its last turn.

    Without `keep_pictures`, `[picture 1]` and so on stand where they were.
    """

    respondent: Respondent
    keep_pictures: bool = True

    def caption(self, prompts: Sequence[Prompt]) -> list[Prompt | VlrewardError]:
        """The prompts with descriptions; those without pictures as they are. Each asked once."""
        template = load_template("describe")
        distinct = list(dict.fromkeys(prompt for prompt in prompts if prompt.pictures))
        replies = self.respondent.answer(
            [
                Question(
                    messages=template.fill(conversation=conversation_of(prompt)), kind="describe"
                )
                for prompt in distinct
            ]
        )
        known: dict[Prompt, Prompt | VlrewardError] = {}
        for prompt, reply in zip(distinct, replies, strict=True):
            if isinstance(reply, Failure):
                known[prompt] = no_answer(reply, place="captions")
            elif not reply.text:
                known[prompt] = DataError(
                    "caption-empty",
                    value="a reply without words",
                    place="captions",
                    expected="a description of the pictures",
                    mend="Choose another model, or raise its limit of tokens.",
                )
            else:
                known[prompt] = self._captioned(prompt, reply.text)
        return [known.get(prompt, prompt) for prompt in prompts]

    def _captioned(self, prompt: Prompt, caption: str) -> Prompt:
        told = prompt if self.keep_pictures else without_pictures(prompt)
        *before, last = told.messages
        content = (*last.content, _HEADING, caption)
        return Prompt(messages=(*before, replace(last, content=content)))


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedScorer(PatientScorer):
    """A scorer that reads descriptions."""

    scorer: PatientScorer
    captioner: Captioner

    def score_each(
        self, comparisons: Iterable[Comparison]
    ) -> Iterator[list[Score] | VlrewardError]:
        """See `PatientScorer`; all descriptions are asked for before the first result."""
        given = list(comparisons)
        told = self.captioner.caption([prompt for prompt, _ in given])
        scores = self.scorer.score_each(
            (prompt, responses)
            for prompt, (_, responses) in zip(told, given, strict=True)
            if isinstance(prompt, Prompt)
        )
        for prompt in told:
            yield prompt if isinstance(prompt, VlrewardError) else next(scores)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedJudge:
    """A judge that reads descriptions."""

    judged_by: VotingJudge
    captioner: Captioner

    def vote_each(
        self, duels: Sequence[Duel], *, progress: Advance | None = None
    ) -> list[Ballot | VlrewardError]:
        """See `VotingJudge`."""
        told = self.captioner.caption([prompt for prompt, _, _ in duels])
        ballots = iter(
            self.judged_by.vote_each(
                [
                    (prompt, first, second)
                    for prompt, (_, first, second) in zip(told, duels, strict=True)
                    if isinstance(prompt, Prompt)
                ],
                progress=progress,
            )
        )
        return [one if isinstance(one, VlrewardError) else next(ballots) for one in told]

    def judge(self, prompt: Prompt, first: Response, second: Response) -> Verdict:
        """The verdict of the judge; raises DataError where a description is missing."""
        [told] = raising(self.captioner.caption([prompt]))
        return self.judged_by.judge(told, first, second)
