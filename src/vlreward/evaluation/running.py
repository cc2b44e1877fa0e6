"""One scorer or judge on the rows of benchmarks, resumed where an earlier start left off."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vlreward import configuration
from vlreward.curation.calls import AskedModel, Calls, budget_spent, find_key, refuse_unpriced
from vlreward.durable import write_json_atomically
from vlreward.errors import ConfigError
from vlreward.evaluation.assessing import assess
from vlreward.evaluation.examples import Example
from vlreward.evaluation.outcome_files import OutcomeLog
from vlreward.evaluation.scorers.config import ScorerConfig, WeightsConfig, parts_of
from vlreward.evaluation.scorers.identity import endpoints_of, identities, weights_of
from vlreward.evaluation.scorers.opening import Assessor, Means, open_scorer
from vlreward.evaluation.scorers.protocols import VotingJudge
from vlreward.evaluation.scorers.remote import refuse_unallowed
from vlreward.generation.budget import Budget
from vlreward.generation.journal import ReplyJournal
from vlreward.generation.outcomes import OUTAGES
from vlreward.generation.reaching import refuse_unreachable
from vlreward.modeling.folders import find_local_folder
from vlreward.progress import Advance, Progress

JOURNAL = "replies.sqlite"
_IDENTITY = "model.json"
_UNPAID = "no-answer-budget"
_ASKED_AGAIN = {_UNPAID, *(f"no-answer-{reason}" for reason in OUTAGES)}
"""Failures that say nothing of the row."""
_ROWS_AT_A_TIME = 64


class Task(NamedTuple):
    """Rows to be judged, what they are called, and the folder of their outcomes."""

    title: str
    examples: Sequence[Example]
    folder: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What evaluating a model may use: the keys by their names, and the money of the run."""

    progress: Progress
    budget: Budget
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def run_tasks(
    scorer: ScorerConfig, tasks: Sequence[Task], *, folder: Path, resources: Resources
) -> None:
    """Brings every task to its `outcomes.parquet`; the model is opened only if rows are left.

    Rows that failed because an endpoint was out are asked again, others are not. Raises
    ConfigError if the money does not reach or a model has changed since the run began, and what
    opening and asking raise; rows judged until then are kept.
    """
    with ExitStack() as stack:
        logs = [stack.enter_context(_log_of(task, scorer=scorer)) for task in tasks]
        left = [
            log.remaining(task.examples, retries=_ASKED_AGAIN.__contains__)
            for log, task in zip(logs, tasks, strict=True)
        ]
        if any(left):
            opening = _Opening(scorer, folder=folder, resources=resources, stack=stack)
            for task, log, rows in zip(tasks, logs, left, strict=True):
                _judge(task, rows, log=log, opening=opening, progress=resources.progress)
        else:
            _check_identity(scorer, folder / _IDENTITY, only_local=True)
        for task, log in zip(tasks, logs, strict=True):
            log.finish(task.examples)


def check_means(
    scorer: ScorerConfig, *, environment: Mapping[str, str], max_dollars: float | None = None
) -> None:
    """Finds out, before any row is read, whether the model can be asked; nothing is loaded.

    Raises ConfigError if a key is missing, or under a cap a price, or code of a model may not be
    run, CheckpointError if a model's folder is not there or has no reward head, and EndpointError
    if an endpoint is down or refuses the key.
    """
    for part in parts_of(scorer):
        if part.remote_code is not None:
            refuse_unallowed(part.remote_code)
    for weights in weights_of(scorer):
        find_local_folder(weights.path, revision=weights.revision)
    for part in parts_of(scorer):
        if part.reward_model is not None:
            _refuse_without_head(part.reward_model)
    refuse_unpriced(
        [AskedModel(one, sees_pictures=False) for one in endpoints_of(scorer)],
        max_dollars=max_dollars,
        is_estimate=False,
    )
    for endpoint in endpoints_of(scorer):
        refuse_unreachable(endpoint, api_key=find_key(endpoint, environment))


def _refuse_without_head(weights: WeightsConfig) -> None:
    from vlreward.modeling.checkpoints import refuse_without_head

    folder = find_local_folder(weights.path, revision=weights.revision)
    if folder is not None:
        refuse_without_head(folder)


def check_rows(
    scorer: ScorerConfig,
    tasks: Sequence[Task],
    *,
    max_dollars: float | None,
    is_estimate: bool = False,
) -> None:
    """Finds out, once rows are read, whether the model can be asked about them; nothing is asked.

    Raises ConfigError if a judge that compares two responses would be shown more, or one, or the
    price of a model or of its pictures is not known, without which no cap can be kept and no
    estimate be made.
    """
    _refuse_judge_of_pairs(scorer, tasks)
    have_pictures = any(one.has_pictures for task in tasks for one in task.examples)
    refuse_unpriced(
        [AskedModel(one, sees_pictures=have_pictures) for one in endpoints_of(scorer)],
        max_dollars=max_dollars,
        is_estimate=is_estimate,
    )


def _refuse_judge_of_pairs(scorer: ScorerConfig, tasks: Sequence[Task]) -> None:
    compares = any(part.judge is not None and part.judge.ask == "pair" for part in parts_of(scorer))
    for task in tasks if compares else ():
        others = [one for one in task.examples if len(one.responses) != 2]
        if others:
            raise ConfigError(
                "judge-wants-two",
                value=f"{len(others)} of {len(task.examples)} rows with another number of "
                f"responses, as row {others[0].id} with {len(others[0].responses)}",
                place=task.title,
                expected="two responses a row for a judge that compares them",
                mend="Let it rate each by itself: rate:… instead of judge:…, or `ask: rating`.",
            )


def read_identity(folder: Path) -> dict[str, str]:
    """What the run noted of its model's weights; nothing for a model behind an API."""
    path = folder / _IDENTITY
    found: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def _log_of(task: Task, *, scorer: ScorerConfig) -> OutcomeLog:
    about = {"task": task.title, "scorer": configuration.to_plain(scorer)}
    return OutcomeLog(task.folder, about=about)


class _Opening:
    """Opens the model once, at the first row that is left."""

    def __init__(
        self, scorer: ScorerConfig, *, folder: Path, resources: Resources, stack: ExitStack
    ) -> None:
        self.scorer = scorer
        self._folder = folder
        self._resources = resources
        self._stack = stack
        self._assessor: Assessor | None = None
        self.replied: Advance | None = None

    def assessor(self) -> Assessor:
        """The model; raises as `run_tasks`."""
        if self._assessor is None:
            _check_identity(self.scorer, self._folder / _IDENTITY)
            self._assessor = self._stack.enter_context(
                open_scorer(self.scorer, means=self._means())
            )
        return self._assessor

    def _means(self) -> Means:
        environment = self._resources.environment
        if not any(endpoints_of(self.scorer)):
            return Means(environment=environment)
        journal = self._stack.enter_context(ReplyJournal(self._folder / JOURNAL))
        journal.forget_failures(OUTAGES)
        self.replied = self._stack.enter_context(self._resources.progress.phase("Replies"))
        calls = Calls(
            journal=journal,
            budget=self._resources.budget,
            environment=environment,
            needs_replies=False,
            tell=self._resources.progress.say,
        )
        return Means(calls=calls, environment=environment, progress=self.replied)


def _judge(
    task: Task,
    rows: Sequence[Example],
    *,
    log: OutcomeLog,
    opening: _Opening,
    progress: Progress,
) -> None:
    if not rows:
        return
    assessor = opening.assessor()
    done = len(task.examples) - len(rows)
    with progress.phase(task.title, total=len(task.examples), done=done) as advance:
        for outcome in assess(
            rows,
            assessor,
            rows_at_a_time=_rows_at_a_time(opening.scorer),
            progress=opening.replied if isinstance(assessor, VotingJudge) else None,
        ):
            if outcome.failure == _UNPAID:
                raise budget_spent(f"{task.title}: no money is left for row {outcome.id}")
            log.add(outcome)
            advance()


def _rows_at_a_time(scorer: ScorerConfig) -> int:
    """One for language models in this process, which gain nothing from more: a kill costs one."""
    parts = [part for part in parts_of(scorer) if part.ensemble is None]
    are_local = all(part.judge is not None and part.judge.local is not None for part in parts)
    return 1 if are_local else _ROWS_AT_A_TIME


def _check_identity(scorer: ScorerConfig, path: Path, *, only_local: bool = False) -> None:
    """Raises ConfigError if weights are not those that the run was begun with.

    With `only_local`, nothing is looked up on the hub.
    """
    found, noted = identities(scorer, only_local=only_local), read_identity(path.parent)
    for name, told in found.items():
        if noted.get(name, told) != told:
            raise ConfigError(
                "model-changed",
                value=told,
                place=name,
                expected=f"{noted[name]}, the weights that the run was begun with",
                mend="Choose another output folder.",
            )
    if found.keys() - noted.keys():
        write_json_atomically(path, noted | found)
