"""What the card shows of reasoning comparisons: answers, tasks, who won, how far people agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from vlreward import markdown
from vlreward.curation.annotation import Better, Decision, Result, Task, count_votes
from vlreward.curation.reasoning_tasks import Answers, Kind, Question
from vlreward.curation.simulated_annotators import SimulatedAnnotators
from vlreward.curation.steps import Exhibit
from vlreward.generation.outcomes import Failure
from vlreward.records import Response
from vlreward.statistics import krippendorff_alpha, wilson_interval

_UNLABELLED = "not labelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparing:
    """All that reasoning comparisons came to.

    `num_passed_over` counts prompts of fields that are not wanted, `unlabelled` those whose field
    is not known, `without` comparisons that made no task, both by reason; `undecided` says of tasks
    why nobody could decide them.
    """

    num_passed_over: int
    unlabelled: Counter[str]
    questions: Sequence[Question]
    answers: Mapping[Kind, Answers]
    comparisons: Sequence[tuple[Kind, Kind]]
    tasks: Sequence[Task]
    without: Counter[str]
    decisions: Sequence[Decision] = ()
    undecided: Mapping[str, Failure] = field(default_factory=dict)
    simulated: SimulatedAnnotators | None = None

    @property
    def votes(self) -> list[tuple[Task, list[Better]]]:
        """The tasks that were decided, each with what annotators said."""
        found: dict[str, list[Better]] = {}
        for decision in self.decisions:
            found.setdefault(decision.task, []).append(decision.better)
        return [(task, found[task.id]) for task in self.tasks if task.id in found]

    @property
    def simulated_tasks(self) -> set[str]:
        """The ids of tasks that a program had a part in deciding."""
        return {decision.task for decision in self.decisions if decision.simulated}

    @property
    def results(self) -> dict[str, Result]:
        """What the votes about each decided task come to, by its id."""
        return {task.id: count_votes(votes) for task, votes in self.votes}


def comparison_exhibit(made: Comparing) -> Exhibit:
    """What the card shows of them."""
    results = made.results
    parts = [
        _simulated(made),
        _prompts(made),
        _answers(made.answers),
        _tasks(made),
        _wins(made, results),
        _fields(made, results),
        _agreement([votes for _, votes in made.votes]),
    ]
    text = "\n\n".join(part for part in parts if part)
    return Exhibit(title="Reasoning answers, compared", text=text)


def _simulated(made: Comparing) -> str:
    number = len(made.simulated_tasks)
    if not number and made.simulated is None:
        return ""
    by = made.simulated
    who = "" if by is None else f", by {by.endpoint.model} with an error rate of {by.error_rate:g}"
    return (
        f"**The decisions about {number} of {len(made.tasks)} tasks are simulated{who}: no person "
        "made them. Their pairs have the label type `simulated`.**"
    )


def _prompts(made: Comparing) -> str:
    said = f"{len(made.questions)} prompts with pictures were answered in two ways"
    if made.num_passed_over:
        said += f", {made.num_passed_over} passed over as of other fields of study"
    if made.unlabelled:
        said += f"; for {made.unlabelled.total()} no field is known: {_listed(made.unlabelled)}"
    return f"{said}."


def _answers(answers: Mapping[Kind, Answers]) -> str:
    rows = []
    for kind, given in answers.items():
        failures = Counter(one for one in given if not isinstance(one, Response))
        num_usable = len(given) - failures.total()
        rows.append((kind, num_usable, _listed(failures) or "none"))
    return markdown.table(["answers", "usable", "not usable"], rows)


def _tasks(made: Comparing) -> str:
    said = f"{len(made.tasks)} comparisons became tasks"
    if made.without:
        said += f"; of the others, {_listed(made.without)}"
    if made.undecided:
        reasons: Counter[str] = Counter(one.reason for one in made.undecided.values())
        said += f". Of the tasks, {len(made.undecided)} were not decided: {_listed(reasons)}"
    return f"{said}."


def _wins(made: Comparing, results: Mapping[str, Result]) -> str:
    """How often either side won, and the share of the first among those that one side won."""
    rows = []
    for first, second in made.comparisons:
        won: Counter[str] = Counter()
        for task in made.tasks:
            if {maker.kind for maker in task.made} == {first, second} and task.id in results:
                won[_winner(task, results[task.id])] += 1
        num_won = won[first] + won[second]
        share = ""
        if num_won:
            low, high = wilson_interval(won[first], num_won)
            share = f"{won[first] / num_won:.1%} [{low:.1%}, {high:.1%}]"
        numbers = [won[first], won[second], won["equal"], won["no majority"]]
        rows.append((f"{first} against {second}", *numbers, share))
    header = ["comparison", "first won", "second won", "equal", "no majority"]
    return markdown.table([*header, "share of the first [95 %]"], rows)


def _winner(task: Task, result: Result) -> str:
    if result.better in ("A", "B"):
        return task.made["AB".index(result.better)].kind
    return result.better or "no majority"


def _fields(made: Comparing, results: Mapping[str, Result]) -> str:
    prompts = Counter(question.field or _UNLABELLED for question in made.questions)
    tasks = Counter(task.field or _UNLABELLED for task in made.tasks)
    pairs = Counter(
        task.field or _UNLABELLED
        for task in made.tasks
        if task.id in results and results[task.id].better in ("A", "B")
    )
    if set(prompts) <= {_UNLABELLED}:
        return ""
    rows = []
    for name, number in sorted(prompts.items(), key=lambda item: (-item[1], item[0])):
        share = f"{pairs[name] / pairs.total():.1%}" if pairs else ""
        rows.append((name, number, tasks[name], pairs[name], share))
    header = ["field of study", "prompts", "tasks", "pairs", "share of the pairs"]
    return markdown.table(header, rows)


def _agreement(votes: Sequence[Sequence[Better]]) -> str:
    """How often two annotators of one task say the same, and Krippendorff's alpha."""
    several = [given for given in votes if len(given) > 1]
    if not several:
        return ""
    agreed = [one == other for given in several for one, other in combinations(given, 2)]
    alpha = krippendorff_alpha(several)
    by_chance = "" if alpha is None else f"; Krippendorff's alpha is {alpha:.2f}"
    share = sum(agreed) / len(agreed)
    return f"{len(several)} tasks have several votes; two agree in {share:.1%} of cases{by_chance}."


def _listed(numbers: Counter[str]) -> str:
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {name}" for name, number in ordered)
