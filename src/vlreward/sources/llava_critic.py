"""LLaVA-Critic-113k: requests to judge two answers, or to score one, and the replies, in words.

https://huggingface.co/datasets/lmms-lab/llava-critic-113k: `image`, and `conversations` of one
request and one reply. The configuration `pairwise` has three layouts, each with replies of its own
kind, `pointwise` has one. Where a delimiter occurs more than once, an answer may have said it
itself: such a row is refused, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from vlreward.errors import DataError
from vlreward.records import Judgment
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.content import MARKER, Draft, DraftContent, DraftMessage, Hole, RatedDraft
from vlreward.sources.fields import Row

_JUDGE = "gpt-4o"
"""Who judged, as the data set's paper says (arXiv 2410.02712)."""

_REQUEST, _REPLY = "conversations[0]", "conversations[1]"
"""Places of errors."""

Verdict = float
"""By how much the first answer is better, on the reply's own scale; negative for the second one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """A request's delimiters in their order, and how its reply's verdict is read.

    The question stands after the first delimiter, the answers after the others; `ends` closes an
    answer where the layout does so.
    """

    starts: tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]
    ends: tuple[re.Pattern[str], re.Pattern[str]] | None
    verdict: Callable[[str], Verdict | None]


def draft(row: Row) -> Draft:
    """Reads a row; raises DataError where it is no comparison, or the answers were judged equal."""
    request, reply = _request_and_reply(row)
    layout = next((one for one in _LAYOUTS if one.starts[1].search(request)), None)
    if layout is None:
        raise _unreadable(request, place=_REQUEST, expected="two answers to judge")
    question, first, second = _parts(request, layout)
    verdict = layout.verdict(reply)
    if verdict is None:
        raise _unreadable(reply, place=_REPLY, expected="one verdict")
    if verdict == 0:
        raise DataError(
            "judged-equal",
            value="equally good",
            place=_REPLY,
            expected="a preference",
            mend="Drop the row: it holds none.",
        )
    better, worse = (first, second) if verdict > 0 else (second, first)
    judgment = Judgment(kind="model", judge=_JUDGE, margin=abs(verdict))
    return replace(_draft_of(row, question, answers=(better, worse)), judgment=judgment)


def draft_score(row: Row) -> RatedDraft:
    """Reads a row of the configuration `pointwise`, which asks for one answer's score.

    The last score that the reply states counts.
    """
    request, reply = _request_and_reply(row)
    question, answer = (_only(one, request) for one in (_QUESTION, _ANSWER))
    if question.end() > answer.start():
        raise _unreadable(request, place=_REQUEST, expected="a question and an answer")
    scores = _SCORE.findall(reply)
    if not scores:
        raise _unreadable(reply, place=_REPLY, expected="a score")
    asked, given = request[question.end() : answer.start()], request[answer.end() :]
    return RatedDraft(
        draft=_draft_of(row, _bracketed(asked), answers=(_bracketed(given),)),
        ratings=(float(scores[-1]),),
        judgment=Judgment(kind="model", judge=_JUDGE),
    )


def fits(row: Row) -> bool:
    """Whether the row's conversation shows two answers to judge."""
    request = _request_of(row)
    return any(layout.starts[1].search(request) for layout in _LAYOUTS)


def asks_for_a_score(row: Row) -> bool:
    """Whether the row's conversation shows one answer to score."""
    request = _request_of(row)
    return bool(_QUESTION.search(request) and _ANSWER.search(request))


def _request_of(row: Row) -> str:
    """The first turn of a row that is a conversation alone; empty for any other."""
    turns = row.get("conversations")
    if not isinstance(turns, (list, tuple)) or not turns or row.get("chosen") is not None:
        return ""
    request = turns[0].get("value") if fields.is_row(turns[0]) else None
    return request if isinstance(request, str) else ""


def _draft_of(row: Row, question: str, *, answers: tuple[str, ...]) -> Draft:
    """The row's pictures, then the question, whose marks of their places are left out."""
    images = images_of(row)
    content: DraftContent = (*(Hole() for _ in images), question.replace(MARKER, "").strip())
    return Draft(
        prompt=(DraftMessage(role="user", content=content),),
        answers=tuple((answer,) for answer in answers),
        images=images,
    )


def _request_and_reply(row: Row) -> tuple[str, str]:
    """The two turns of a row's conversation."""
    turns = fields.items(fields.required(row, "conversations"), field="conversations")
    if len(turns) != 2:
        raise fields.wrong_type(turns, field="conversations", expected="a request and a reply")
    said = []
    for index, (turn, speaker) in enumerate(zip(turns, ("human", "gpt"), strict=True)):
        place = f"conversations[{index}]"
        if not fields.is_row(turn) or turn.get("from") != speaker:
            raise fields.wrong_type(turn, field=place, expected=f"a turn from {speaker!r}")
        said.append(fields.text(turn.get("value"), field=f"{place}.value"))
    return said[0], said[1]


def _only(pattern: re.Pattern[str], request: str) -> re.Match[str]:
    """The pattern's one match; raises DataError if there are none or several."""
    found = list(pattern.finditer(request))
    if len(found) != 1:
        raise DataError(
            "critic-delimiters",
            value=f"{len(found)} times {pattern.pattern!r}",
            place=_REQUEST,
            expected="the delimiter once",
            mend="Drop the row: it cannot be told where its parts end.",
        )
    return found[0]


def _bracketed(text: str) -> str:
    """What stands between a part's outer square brackets; raises DataError without them."""
    part = text.strip()
    inner = part.removesuffix("ASSISTANT:").rstrip()
    if not (inner.startswith("[") and inner.endswith("]")):
        raise _unreadable(part, place=_REQUEST, expected="a part in square brackets")
    return inner[1:-1].strip()


def _parts(request: str, layout: _Layout) -> tuple[str, str, str]:
    marks = [_only(pattern, request) for pattern in layout.starts]
    stops = [mark.start() for mark in marks[1:]] + [len(request)]
    if layout.ends is not None:
        stops[1:] = [_only(pattern, request).start() for pattern in layout.ends]
    if any(mark.end() > stop for mark, stop in zip(marks, stops, strict=True)):
        raise _unreadable(request, place=_REQUEST, expected="question, first and second answer")
    question, first, second = (
        request[mark.end() : stop].strip() for mark, stop in zip(marks, stops, strict=True)
    )
    if layout.ends is None:
        return _bracketed(question), _bracketed(first), _bracketed(second)
    return question, first, second


def _unreadable(text: str, *, place: str, expected: str) -> DataError:
    return DataError(
        "critic-unreadable",
        value=fields.describe(text),
        place=place,
        expected=f"{expected}, in a form of LLaVA-Critic",
        mend="Drop the row, or name the form that it has.",
    )


def _label(label: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:{label})[ \t]*:?[ \t]*(?=\[)", re.MULTILINE)


_QUESTION = _label("Question")
_ANSWER = _label("The LMM response|Response|Answer")
_SCORE = re.compile(r"\bScore\s*:\s*\[?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)

_BETTER = re.compile(
    r"better response\s*:\s*\[?\s*(first|second|1|2|A|B|equal)"
    r"|\b(first|second) response is better"
    r"|\bresponse (1|2|A|B) is better"
    r"|\b(equally) good",
    re.IGNORECASE,
)
_VERDICTS = {"first": 1.0, "1": 1.0, "a": 1.0, "second": -1.0, "2": -1.0, "b": -1.0}


def _verdict_in_words(reply: str) -> Verdict | None:
    """The verdict if all that are said agree."""
    said = {next(filter(None, match.groups())).lower() for match in _BETTER.finditer(reply)}
    verdicts = {_VERDICTS.get(word, 0.0) for word in said}
    return verdicts.pop() if len(verdicts) == 1 else None


_ARENA_VERDICT = re.compile(r"\[\[(A>>B|A>B|A=B|B>A|B>>A)\]\]")
_ARENA_MARGINS = {"A>>B": 2.0, "A>B": 1.0, "A=B": 0.0, "B>A": -1.0, "B>>A": -2.0}


def _verdict_of_arena(reply: str) -> Verdict | None:
    """The last verdict, as the arena itself reads it."""
    found = _ARENA_VERDICT.findall(reply)
    return _ARENA_MARGINS[found[-1]] if found else None


_TWO_SCORES = re.compile(r"^\s*(\d+(?:\.\d+)?)[\s,]+(\d+(?:\.\d+)?)\s*$")


def _verdict_of_scores(reply: str) -> Verdict | None:
    """The difference of the two numbers on the first line."""
    found = _TWO_SCORES.match(reply.lstrip().partition("\n")[0])
    return float(found[1]) - float(found[2]) if found else None


_LAYOUTS = (
    _Layout(
        starts=(
            _label("Question"),
            _label("The first response|Response 1|Response A"),
            _label("The second response|Response 2|Response B"),
        ),
        ends=None,
        verdict=_verdict_in_words,
    ),
    _Layout(
        starts=(
            re.compile(r"<\|User Prompt\|>"),
            re.compile(r"<\|The Start of Assistant A's Answer\|>"),
            re.compile(r"<\|The Start of Assistant B's Answer\|>"),
        ),
        ends=(
            re.compile(r"<\|The End of Assistant A's Answer\|>"),
            re.compile(r"<\|The End of Assistant B's Answer\|>"),
        ),
        verdict=_verdict_of_arena,
    ),
    _Layout(
        starts=(
            re.compile(r"^\[Question\]", re.MULTILINE),
            re.compile(r"^\[Assistant 1\]", re.MULTILINE),
            re.compile(r"^\[Assistant 2\]", re.MULTILINE),
        ),
        ends=(
            re.compile(r"^\[End of Assistant 1\]", re.MULTILINE),
            re.compile(r"^\[End of Assistant 2\]", re.MULTILINE),
        ),
        verdict=_verdict_of_scores,
    ),
)
