"""From a prompt's answers, each made in its own way, to comparison tasks for annotators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from vlreward.curation.annotation import Maker, Task
from vlreward.curation.calls import budget_spent
from vlreward.curation.frames import Frame, daft, shows_pictures
from vlreward.curation.rows import (
    RANK_COLUMNS,
    answer_key,
    hash_of,
    pair_of,
    prompt_key,
    rank,
)
from vlreward.generation.outcomes import Failure
from vlreward.generation.reasoning import Generated
from vlreward.records import PreferencePair, Response

Kind = Literal["direct", "two-step", "chosen"]
"""How an answer came to be; `chosen` is the row's own."""

Answers = Sequence[Response | str]
"""An answer to each prompt, or why there is none."""

Compared = frozenset[str]
"""The keys of two answers that were compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A pair whose prompt is to be answered, and its field of study, where that is known.

    `compared` are the answers that the rows with this prompt compare already.
    """

    pair: PreferencePair
    compared: Collection[Compared] = ()
    field: str | None = None


class Tasks(NamedTuple):
    """The tasks, and how often a comparison made none, by reason."""

    tasks: list[Task]
    without: Counter[str]


def choose_questions(rows: Frame, *, max_prompts: int, seed: int) -> list[Question]:
    """Distinct prompts with pictures, each with its best-judged row; drawn by hash and seed."""
    shown = rows.where(shows_pictures())
    best: dict[str, Any] = {}
    for row in shown.select("row", "prompt_key", "pictures", *RANK_COLUMNS).iter_rows():
        key = row["prompt_key"]
        in_prompt = any(one["part"] == "prompt" for one in row["pictures"])
        if in_prompt and (key not in best or rank(row) < rank(best[key])):
            best[key] = row
    drawn = sorted(best, key=lambda key: (hash_of(f"{seed} {key}"), key))[:max_prompts]
    if not drawn:
        return []
    compared: dict[str, set[Compared]] = {}
    wanted = daft().from_pydict({"prompt_key": drawn})
    same = shown.join(wanted, on="prompt_key", how="semi")
    for row in same.select("prompt_key", "chosen_key", "rejected_key").iter_rows():
        both = frozenset((row["chosen_key"], row["rejected_key"]))
        compared.setdefault(row["prompt_key"], set()).add(both)
    numbers = daft().from_pydict({"row": [best[key]["row"] for key in drawn]})
    whole = rows.join(numbers, on="row", how="semi").select("row", "place", "body")
    pairs = {row["row"]: pair_of(row) for row in whole.iter_rows()}
    return [Question(pair=pairs[best[key]["row"]], compared=compared[key]) for key in drawn]


def usable(answer: Generated | Failure) -> Response | str:
    """The answer if it can be compared and written, else why not.

    Raises ConfigError where the budget did not reach.
    """
    if isinstance(answer, Failure):
        if answer.reason == "budget":
            raise budget_spent(answer.detail)
        return answer.reason
    if answer.is_cut:
        return "answer-cut"
    return answer.response


def make_tasks(
    questions: Sequence[Question],
    *,
    answers: Mapping[Kind, Answers],
    comparisons: Sequence[tuple[Kind, Kind]],
    seed: int,
) -> Tasks:
    """A task for each of the comparisons of a question's answers that there is something to say of.

    There is none where an answer is missing, where both are the same but for white space, and where
    these two are compared already, by a row or another task. Which answer stands first is drawn by
    the seed and what they say, so that it tells nothing of how they were made.
    """
    tasks: list[Task] = []
    without: Counter[str] = Counter()
    for number, question in enumerate(questions):
        own = {kind: given[number] for kind, given in answers.items()}
        for one in _tasks_of(question, own, comparisons=comparisons, seed=seed):
            if isinstance(one, Task):
                tasks.append(one)
            else:
                without[one] += 1
    return Tasks(tasks, without)


def _tasks_of(
    question: Question,
    answers: Mapping[Kind, Response | str],
    *,
    comparisons: Sequence[tuple[Kind, Kind]],
    seed: int,
) -> Iterator[Task | str]:
    prompt = prompt_key(question.pair.prompt)
    compared = set(question.compared)
    for kinds in comparisons:
        given = [(kind, answers[kind]) for kind in kinds]
        sides = [
            (kind, answer, answer_key(answer))
            for kind, answer in given
            if isinstance(answer, Response)
        ]
        both = frozenset(key for _, _, key in sides)
        if len(sides) < 2:
            yield "without both answers"
        elif len(both) < 2:
            yield "with identical answers"
        elif both in compared:
            yield "already made"
        else:
            compared.add(both)
            sides.sort(key=lambda side: hash_of(f"{seed} {prompt} {side[2]}"))
            (kind_a, a, _), (kind_b, b, _) = sides
            makers = Maker(kind=kind_a, model=a.model), Maker(kind=kind_b, model=b.model)
            yield Task(source=question.pair, a=a, b=b, field=question.field, made=makers)
