"""Comparisons that people make: tasks as files, decisions read back, and what votes come to.

A folder holds `tasks.jsonl`, which says nothing of who wrote the answers, the tasks' pictures, and
`key.jsonl`, which does and is not for annotators. Decisions come back as `decisions.jsonl`.
`docs/annotation.md` describes the files.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from vlreward.durable import write_bytes_atomically, written_atomically
from vlreward.errors import DataError
from vlreward.pictures import read_bytes
from vlreward.records import Part, Picture, PreferencePair, Prompt, Response
from vlreward.sources import fields
from vlreward.sources.files import read_rows
from vlreward.sources.write import suffix_of

TASKS, KEY, DECISIONS, SIMULATED = (
    "tasks.jsonl",
    "key.jsonl",
    "decisions.jsonl",
    "simulated_decisions.jsonl",
)

Better = Literal["A", "B", "equal"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """How an answer came to be: its kind, such as `direct`, and the model that wrote it."""

    kind: str
    model: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Two answers to one prompt, A and B, of which annotators say the better one."""

    source: PreferencePair
    """The pair whose prompt it is; not for annotators."""
    a: Response
    b: Response
    field: str | None
    """The prompt's field of study, where it is known."""
    made: tuple[Maker, Maker]
    """How A and B came to be; not for annotators either."""

    @property
    def prompt(self) -> Prompt:
        """What both answer."""
        return self.source.prompt

    @property
    def id(self) -> str:
        """A hash of prompt, A and B, in 32 hex digits; with A and B swapped it is another one."""
        shown = PreferencePair(prompt=self.prompt, chosen=self.a, rejected=self.b).id
        return hashlib.sha256(f"task {shown}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What one annotator said of one task; `simulated` where a program decided."""

    task: str
    annotator: str
    better: Better
    seconds: float | None = None
    comment: str | None = None
    simulated: bool = False


class Result(NamedTuple):
    """What the votes about a task come to: `better` is None where no side has the majority.

    `confidence` is the share of the votes that the majority has.
    """

    better: Better | None
    confidence: float
    num_votes: int


def count_votes(votes: Sequence[Better]) -> Result:
    """What more than half of the votes say."""
    better, number = Counter(votes).most_common(1)[0]
    is_majority = 2 * number > len(votes)
    return Result(better if is_majority else None, number / len(votes), len(votes))


def write_tasks(tasks: Sequence[Task], folder: Path) -> None:
    """Writes tasks, pictures and key, each file whole or not at all; older ones are replaced.

    Raises PictureError if a picture is gone or changed.
    """
    named = {one.sha256: one for task in tasks for one in _pictures(task)}
    paths = {sha256: _lay_out(one, folder) for sha256, one in named.items()}
    _write_lines((_task_row(task, paths=paths) for task in tasks), folder / TASKS)
    _write_lines(map(_key_row, tasks), folder / KEY)


def write_decisions(decisions: Iterable[Decision], path: Path) -> None:
    """Writes decisions as `read_decisions` reads them, whole or not at all."""
    _write_lines(map(_decision_row, decisions), path)


def read_decisions(path: Path, *, tasks: Container[str]) -> list[Decision]:
    """The decisions about tasks of these ids, in the file's order; none where there is no file.

    Raises DataError with file and line for a line that is no decision, is about another task, or
    decides a second time what the same annotator decided before.
    """
    if not path.exists():
        return []
    decisions: list[Decision] = []
    places: dict[tuple[str, str], str] = {}
    for row in read_rows(path):
        try:
            if isinstance(row.row, DataError):
                raise row.row
            decision = _decision(row.row)
            _check_task(decision.task, tasks)
            earlier = places.setdefault((decision.task, decision.annotator), row.place)
            _check_first(decision, earlier=earlier, place=row.place)
        except DataError as error:
            raise error.at(row.place) from error
        decisions.append(decision)
    return decisions


def _decision(row: fields.Row) -> Decision:
    known = Decision.__dataclass_fields__
    stranger = next((name for name in row if name not in known), None)
    if stranger is not None:
        raise DataError(
            "decision-field-unknown",
            value=fields.describe(stranger),
            place="decision",
            expected=f"no other fields than {', '.join(known)}",
            mend="Take the field out; remarks go into comment.",
        )
    comment = row.get("comment")
    return Decision(
        task=_text(row, "task"),
        annotator=_text(row, "annotator").strip(),
        better=_better(row.get("better")),
        seconds=fields.optional_number(row, "seconds", low=0.0),
        comment=None if comment is None else fields.text(comment, field="comment"),
        simulated=_flag(row.get("simulated", False), field="simulated"),
    )


def _text(row: fields.Row, name: str) -> str:
    text = fields.text(row.get(name), field=name)
    if not text.strip():
        raise fields.wrong_type(text, field=name, expected="a text that is not empty")
    return text


def _better(value: object) -> Better:
    for known in get_args(Better):
        if value == known:
            better: Better = known
            return better
    raise DataError(
        "decision-unknown",
        value=fields.describe(value),
        place="better",
        expected='"A", "B" or "equal"',
        mend="Write which answer the annotator found better.",
    )


def _flag(value: object, *, field: str) -> bool:
    if not isinstance(value, bool):
        raise fields.wrong_type(value, field=field, expected="true or false")
    return value


def _check_task(task: str, tasks: Container[str]) -> None:
    if task not in tasks:
        raise DataError(
            "decision-task-unknown",
            value=fields.describe(task),
            place="task",
            expected=f"the id of a task in {TASKS}, which lies beside the decisions",
            mend="Take the line out, or put the decisions into the folder of their own run.",
        )


def _check_first(decision: Decision, *, earlier: str, place: str) -> None:
    if earlier != place:
        raise DataError(
            "decided-twice",
            value=f"task {decision.task} by {fields.describe(decision.annotator)}, as in {earlier}",
            place="task",
            expected="one decision of an annotator about a task",
            mend="Keep the one that holds.",
        )


def _task_row(task: Task, *, paths: Mapping[str, str]) -> dict[str, object]:
    """What annotators see, and nothing else."""
    return {
        "id": task.id,
        "field": task.field,
        "prompt": [
            {"role": message.role, "content": _parts(message.content, paths=paths)}
            for message in task.prompt.messages
        ],
        "a": _parts(task.a.content, paths=paths),
        "b": _parts(task.b.content, paths=paths),
    }


def _key_row(task: Task) -> dict[str, object]:
    origin = task.source.origin
    sides = zip(("a", "b"), task.made, strict=True)
    return {
        "id": task.id,
        **{side: {"kind": maker.kind, "model": maker.model} for side, maker in sides},
        "pair": task.source.id,
        "source": origin.source,
        "row_id": origin.row_id,
        "place": origin.place,
    }


def _decision_row(decision: Decision) -> dict[str, object]:
    names = Decision.__dataclass_fields__
    values = {name: getattr(decision, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _parts(content: Sequence[Part], *, paths: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"type": "image", "path": paths[part.sha256]}
        if isinstance(part, Picture)
        else {"type": "text", "text": part}
        for part in content
    ]


def _pictures(task: Task) -> tuple[Picture, ...]:
    return (*task.prompt.pictures, *task.a.pictures, *task.b.pictures)


def _lay_out(picture: Picture, folder: Path) -> str:
    """Copies the picture into the folder; gives its path there, with forward slashes."""
    data = read_bytes(picture)
    name = f"pictures/{picture.sha256}{suffix_of(data)}"
    if not (folder / name).exists():
        write_bytes_atomically(folder / name, data)
    return name


def _write_lines(rows: Iterable[Mapping[str, object]], path: Path) -> None:
    with written_atomically(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
