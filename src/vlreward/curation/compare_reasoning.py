"""The third stage: reasoning answers made in two ways, compared by people, become pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from vlreward.curation.annotation import (
    DECISIONS,
    SIMULATED,
    TASKS,
    Decision,
    Result,
    Task,
    read_decisions,
    write_decisions,
    write_tasks,
)
from vlreward.curation.calls import AskedModel, budget_spent
from vlreward.curation.comparison_exhibit import Comparing, comparison_exhibit
from vlreward.curation.frames import Frame
from vlreward.curation.reasoning_tasks import (
    Answers,
    Kind,
    Question,
    choose_questions,
    make_tasks,
    usable,
)
from vlreward.curation.simulated_annotators import SimulatedAnnotators, as_pair
from vlreward.curation.steps import Bench, Outcome
from vlreward.errors import Waiting, require
from vlreward.generation.config import EndpointConfig
from vlreward.generation.estimate import Estimate, estimate, usual_text
from vlreward.generation.labels import FIELDS, field_requests, name_fields, read_field
from vlreward.generation.outcomes import Failure, Reply
from vlreward.generation.reasoning import (
    Thinking,
    answer_directly,
    answer_from_descriptions,
    direct_requests,
    estimate_from_descriptions,
)
from vlreward.generation.verdicts import pair_requests
from vlreward.records import Judgment, Origin, PreferencePair, Prompt, Response

SOURCE = "reasoning-comparisons"


class _Labelling(NamedTuple):
    """What labelling prompts will take, and those that may be wanted after it."""

    estimate: Estimate
    prompts: list[Prompt]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareReasoning:
    """Prompts with pictures are answered in two ways, and people say which answer is better.

    In direct generation a model that sees reasons; in two-step generation one that sees describes
    and one that does not reasons. What has a majority becomes a pair. The run stops with Waiting
    until all tasks are decided; run again, it goes on.
    """

    name: Literal["compare-reasoning"] = "compare-reasoning"
    vlm: EndpointConfig
    """The model that answers directly."""
    describer: EndpointConfig
    """The model that describes the pictures."""
    reasoner: EndpointConfig
    """The model that answers from the description."""
    labeller: EndpointConfig | None = None
    """The model that names fields of study; without one they stay unknown."""
    fields: tuple[str, ...] = ()
    """Only prompts of these fields of study are answered; all where none is named."""
    max_prompts: int = 50_000
    """At most so many prompts are labelled; the paper has about 50,000 comparisons."""
    thinking: Thinking = "strip"
    """Whether what models write in <think> stays in their answers."""
    against_chosen: bool = False
    """Whether each answer is also compared with the chosen one of the prompt's row."""
    num_votes: int = 1
    """How many people have to decide a task; annotators that are simulated have a number of their
    own."""
    annotators: SimulatedAnnotators | None = None
    """Programs that decide in the place of people, for a rehearsal."""
    seed: int = 0
    """Draws the prompts, and which answer stands first."""

    def __post_init__(self) -> None:
        for name in ("max_prompts", "num_votes"):
            number = getattr(self, name)
            require(number >= 1, place=name, value=number, expected="1 or more")
        strange = next((one for one in self.fields if one not in FIELDS), None)
        known = f"fields of study: {', '.join(FIELDS)}"
        require(strange is None, place="fields", value=strange, expected=known)
        can_choose = not self.fields or self.labeller is not None
        require(
            can_choose,
            place="labeller",
            value=self.labeller,
            expected="a model that names fields of study, as only some are wanted",
        )

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """The decided pairs; raises Waiting for decisions, and ConfigError for a spent budget."""
        made = self._compare(rows, bench=bench)
        folder = bench.annotation or bench.folder / "annotation"
        write_tasks(made.tasks, folder)
        if self.annotators is None:
            made = replace(made, decisions=self._decided(made.tasks, folder))
        else:
            judge = bench.connect(self.annotators.endpoint)
            found = self.annotators.decide(made.tasks, connection=judge, progress=bench.advance)
            write_decisions(found.decisions, folder / SIMULATED)
            made = replace(made, decisions=found.decisions, undecided=found.failures)
        return Outcome(added=_pairs(made), exhibits=[comparison_exhibit(made)])

    @property
    def models(self) -> list[AskedModel]:
        """All that answer, describe, label and judge; the reasoner sees descriptions alone."""
        asked = [self.vlm, self.describer]
        if self.labeller is not None:
            asked.append(self.labeller)
        if self.annotators is not None:
            asked.append(self.annotators.endpoint)
        seeing = [AskedModel(one, sees_pictures=True) for one in asked]
        return [*seeing, AskedModel(self.reasoner, sees_pictures=False)]

    def estimate(self, rows: Frame, *, bench: Bench) -> Estimate:
        """What labelling, answering and, with simulated annotators, judging will take at most.

        A prompt whose field is not known yet counts as one of those wanted, and answers that are
        not known as different ones.
        """
        questions = choose_questions(rows, max_prompts=self.max_prompts, seed=self.seed)
        prompts = [one.pair.prompt for one in questions]
        found, prompts = self._estimate_labels(prompts, bench=bench)
        direct = bench.connect(self.vlm)
        found += estimate(
            direct_requests(prompts, connection=direct, seed=self.seed),
            endpoint=self.vlm,
            journal=direct.journal,
        )
        found += estimate_from_descriptions(
            prompts,
            describer=bench.connect(self.describer),
            reasoner=bench.connect(self.reasoner),
            seed=self.seed,
        )
        if self.annotators is None:
            return found
        if found.num_calls == 0:
            shown = [as_pair(task) for task in self._compare(rows, bench=bench).tasks]
        else:
            length = usual_text("reason-direct", endpoint=self.vlm, journal=direct.journal)
            shown = self._stand_ins(prompts, text=length)
        judging = bench.connect(self.annotators.endpoint)
        requests = pair_requests(shown, connection=judging)
        return found + estimate(requests, endpoint=judging.endpoint, journal=judging.journal)

    def _estimate_labels(self, prompts: list[Prompt], *, bench: Bench) -> _Labelling:
        """A prompt whose field is in the journal is wanted or not, any other one may be."""
        if self.labeller is None:
            return _Labelling(Estimate(), prompts)
        connection = bench.connect(self.labeller)
        requests = field_requests(prompts, connection=connection)
        replies = [connection.journal.find(one.key) for one in requests]
        wanted = [
            prompt
            for prompt, reply in zip(prompts, replies, strict=True)
            if reply is None or self._wants(_read(reply))
        ]
        found = estimate(requests, endpoint=self.labeller, journal=connection.journal)
        return _Labelling(found, wanted)

    def _stand_ins(self, prompts: Sequence[Prompt], *, text: str) -> list[PreferencePair]:
        """Pairs in the place of those that will be compared."""
        return [
            PreferencePair(
                prompt=prompt,
                chosen=Response(content=(f"{number} {text}",)),
                rejected=Response(content=(text,)),
            )
            for prompt in prompts
            for number in range(len(self._comparisons))
        ]

    @property
    def _comparisons(self) -> Sequence[tuple[Kind, Kind]]:
        more: list[tuple[Kind, Kind]] = [("direct", "chosen"), ("two-step", "chosen")]
        return [("direct", "two-step"), *(more if self.against_chosen else [])]

    def _compare(self, rows: Frame, *, bench: Bench) -> Comparing:
        """All answers, and the tasks that they make."""
        chosen = choose_questions(rows, max_prompts=self.max_prompts, seed=self.seed)
        labels = self._labels(chosen, bench=bench)
        questions = [
            replace(one, field=label if isinstance(label, str) else None)
            for one, label in zip(chosen, labels, strict=True)
            if self._wants(label)
        ]
        unlabelled: Counter[str] = Counter(one.reason for one in labels if isinstance(one, Failure))
        num_labelled = sum(isinstance(one, str) for one in labels)
        prompts = [one.pair.prompt for one in questions]
        answers = self._answers(prompts, bench=bench)
        tasks, without = make_tasks(
            questions,
            answers={**answers, "chosen": [one.pair.chosen for one in questions]},
            comparisons=self._comparisons,
            seed=self.seed,
        )
        return Comparing(
            num_passed_over=num_labelled - sum(one.field is not None for one in questions),
            unlabelled=unlabelled,
            questions=questions,
            answers=answers,
            comparisons=self._comparisons,
            tasks=tasks,
            without=without,
            simulated=self.annotators,
        )

    def _answers(self, prompts: Sequence[Prompt], *, bench: Bench) -> dict[Kind, Answers]:
        """What either way of generation answers to the prompts."""
        direct = answer_directly(
            prompts,
            connection=bench.connect(self.vlm),
            seed=self.seed,
            thinking=self.thinking,
            progress=bench.advance,
        )
        answers: dict[Kind, Answers] = {"direct": [usable(one) for (one,) in direct]}
        in_two_steps = answer_from_descriptions(
            prompts,
            describer=bench.connect(self.describer),
            reasoner=bench.connect(self.reasoner),
            seed=self.seed,
            thinking=self.thinking,
            progress=bench.advance,
        )
        return {**answers, "two-step": [usable(one) for (one,) in in_two_steps]}

    def _labels(
        self, questions: Sequence[Question], *, bench: Bench
    ) -> Sequence[str | Failure | None]:
        """Their fields of study; None where nobody is asked."""
        if self.labeller is None:
            return [None] * len(questions)
        return name_fields(
            [one.pair.prompt for one in questions],
            connection=bench.connect(self.labeller),
            progress=bench.advance,
        )

    def _wants(self, label: str | Failure | None) -> bool:
        if isinstance(label, Failure) and label.reason == "budget":
            raise budget_spent(label.detail)
        return not self.fields or label in self.fields

    def _decided(self, tasks: Sequence[Task], folder: Path) -> list[Decision]:
        """What people decided; raises Waiting unless all tasks have their votes."""
        path = folder / DECISIONS
        decisions = read_decisions(path, tasks={task.id for task in tasks})
        num_votes = dict.fromkeys((task.id for task in tasks), 0)
        for decision in decisions:
            num_votes[decision.task] += 1
        waiting = sum(number < self.num_votes for number in num_votes.values())
        if waiting:
            people = "one person" if self.num_votes == 1 else f"{self.num_votes} people each"
            raise Waiting(
                "waiting-for-annotators",
                value=f"{waiting} of {len(tasks)} tasks in {folder / TASKS} are not decided",
                place=str(path),
                expected=f"decisions about all tasks by {people}, a line each: "
                '{"task": "its id", "annotator": "a name", "better": "A"}, or "B", or "equal"',
                mend="Answers are kept and paid for: when the tasks are decided, run again.",
            )
        return decisions


def _read(reply: Reply | Failure) -> str | Failure:
    """What `name_fields` will make of a reply."""
    if isinstance(reply, Failure):
        return reply
    field = read_field(reply.text, fields=FIELDS)
    return field or Failure(reason="field-unreadable", detail="")


def _pairs(made: Comparing) -> list[PreferencePair]:
    """The pairs that the votes make of the tasks; tasks without a better answer make none."""
    results, simulated = made.results, made.simulated_tasks
    return [
        _pair(task, results[task.id], is_simulated=task.id in simulated)
        for task in made.tasks
        if task.id in results and results[task.id].better in ("A", "B")
    ]


def _pair(task: Task, result: Result, *, is_simulated: bool) -> PreferencePair:
    sides = [(task.a, task.made[0]), (task.b, task.made[1])]
    (chosen, winner), (rejected, loser) = sides if result.better == "A" else sides[::-1]
    origin = task.source.origin
    number = result.num_votes
    people = f"{number} {'simulated ' * is_simulated}annotator{'s' * (number > 1)}"
    return PreferencePair(
        prompt=task.prompt,
        chosen=chosen,
        rejected=rejected,
        judgment=Judgment(
            kind="simulated" if is_simulated else "human",
            judge=people,
            confidence=result.confidence,
        ),
        origin=Origin(
            source=SOURCE,
            row_id=task.source.id,
            task=f"{task.field or 'unlabelled'}: {winner.kind} over {loser.kind}",
            split=origin.split,
            place=f"task {task.id} on {origin.source} {origin.place}".rstrip(),
        ),
    )
