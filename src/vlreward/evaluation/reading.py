"""From the rows of a benchmark's files to examples: read, counted, chosen, pictures admitted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from vlreward.errors import DataError
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.evaluation.counts import Expected, differences, other_counts
from vlreward.evaluation.examples import Example
from vlreward.pictures import PictureStore
from vlreward.records import Response
from vlreward.sources import fields
from vlreward.sources.attachments import PictureReader
from vlreward.sources.config import SourceConfig
from vlreward.sources.content import Draft
from vlreward.sources.convert import RowContext, fill
from vlreward.sources.fields import Row
from vlreward.sources.files import RawRow
from vlreward.sources.hub import LoadDataset
from vlreward.sources.read import open_rows

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDraft:
    """A benchmark's row as its form reads it, before any picture is looked at.

    `prompt_id` is the row's own name of its prompt, where several rows share one.
    """

    draft: Draft
    right: tuple[int, ...]
    group: str
    subset: str
    row_id: str | None = None
    prompt_id: str | None = None
    models: tuple[str | None, ...] = ()


ReadRow = Callable[[Row], RowDraft]
"""Reads a row; raises DataError, with the field as its place, where it is not of the benchmark."""


class Part(NamedTuple):
    """A source and the form of its rows; a benchmark has one or several."""

    source: SourceConfig
    read_row: ReadRow


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedBenchmark:
    """The examples in the order of their rows, the rows that were refused, and what differs.

    `num_rows` counts what was read before a limit chose; `notes` say in words what is not as
    published.
    """

    examples: tuple[Example, ...]
    refused: tuple[DataError, ...] = ()
    num_rows: int
    notes: tuple[str, ...] = ()


class _Placed(NamedTuple):
    """A draft with its unique id and where it lies."""

    id: str
    row: RowDraft
    raw: RawRow
    source: SourceConfig

    @property
    def bucket(self) -> tuple[str, str]:
        return self.row.group, self.row.subset


def read_published(
    parts: Sequence[Part],
    *,
    config: BenchmarkConfig,
    title: str,
    expected: Expected | None = None,
    store: PictureStore | None = None,
    load_dataset: LoadDataset | None = None,
) -> LoadedBenchmark:
    """Reads a benchmark whose rows have a form of their own, and mostly known numbers.

    Numbers are checked on all rows, before a limit chooses. Where they are known, rows that are
    missing, unknown or unreadable raise DataError, unless the configuration sets a limit or
    `partial`: then they are noted, as they are where no numbers are known. So does a source
    without a single good row.
    """
    placed: list[_Placed] = []
    refused: list[DataError] = []
    for item in _read_drafts(parts, load_dataset=load_dataset):
        if isinstance(item, DataError):
            refused.append(item)
        else:
            placed.append(item)
    phrases = differences((one.bucket for one in placed), expected=expected or Expected())
    is_lenient = config.partial or config.limit is not None or expected is None
    is_other = bool(refused) or (bool(phrases) and expected is not None and expected.is_firm)
    if not placed or (is_other and not is_lenient):
        place = ", ".join(part.source.path for part in parts)
        raise other_counts(
            [*unread(refused), *phrases],
            place=place,
            title=title,
            refused=refused,
            is_lenient=is_lenient,
        )
    chosen = choose(placed, limit=config.limit, bucket=lambda one: one.bucket, name=lambda o: o.id)
    num_rows = len(placed) + len(refused)
    examples: list[Example] = []
    for found in _fill_all(chosen, store=store):
        if isinstance(found, Example):
            examples.append(found)
        elif is_lenient:
            refused.append(found)
        else:
            raise found
    return LoadedBenchmark(
        examples=tuple(examples),
        refused=tuple(refused),
        num_rows=num_rows,
        notes=(*unread(refused), *phrases),
    )


def unread(refused: Sequence[DataError]) -> tuple[str, ...]:
    """What the notes say of rows that could not be read."""
    return (f"rows that could not be read: {len(refused)}",) if refused else ()


def choose(
    items: Sequence[T],
    *,
    limit: int | None,
    bucket: Callable[[T], tuple[str, str]],
    name: Callable[[T], str],
) -> list[T]:
    """At most `limit` of the items, in their order, every bucket by its share.

    Shares are rounded by largest remainder; which items of a bucket are taken depends on their
    names alone.
    """
    if limit is None or limit >= len(items):
        return list(items)
    members: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(items):
        members.setdefault(bucket(item), []).append(index)
    exact = {key: limit * len(found) / len(items) for key, found in members.items()}
    quota = {key: int(share) for key, share in exact.items()}
    by_remainder = sorted(members, key=lambda key: (quota[key] - exact[key], key))
    for key in by_remainder[: limit - sum(quota.values())]:
        quota[key] += 1
    taken: set[int] = set()
    for key, found in members.items():
        taken.update(sorted(found, key=lambda i: _rank(name(items[i])))[: quota[key]])
    return [item for index, item in enumerate(items) if index in taken]


class UniqueIds:
    """Makes ids unique: the second row called `x` is `x#2`."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def name(self, wanted: str) -> str:
        """The id itself the first time, then with a number."""
        number = self._seen[wanted] = self._seen.get(wanted, 0) + 1
        return wanted if number == 1 else f"{wanted}#{number}"


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _read_drafts(
    parts: Sequence[Part], *, load_dataset: LoadDataset | None
) -> Iterator[_Placed | DataError]:
    ids = UniqueIds()
    for source, read_row in parts:
        for number, raw in enumerate(open_rows(source, load_dataset=load_dataset), start=1):
            try:
                if isinstance(raw.row, DataError):
                    raise raw.row
                if not _is_of_split(raw.row, source=source):
                    continue
                row = read_row(raw.row)
            except DataError as error:
                yield error.at(_place_of(raw))
            else:
                wanted = row.row_id if row.row_id is not None else str(number)
                yield _Placed(ids.name(wanted), row, raw, source)


def _place_of(raw: RawRow) -> str:
    """Where a row lies, with the id that it gives itself."""
    row_id = None if isinstance(raw.row, DataError) else raw.row.get("id")
    return raw.place if row_id is None else f"{raw.place} (id {fields.describe_id(row_id)})"


def _is_of_split(row: Row, *, source: SourceConfig) -> bool:
    return source.split is None or source.is_hub or row.get("split") == source.split


def _fill_all(
    placed: Sequence[_Placed], *, store: PictureStore | None
) -> Iterator[Example | DataError]:
    pictures = PictureReader(store)
    for one in placed:
        try:
            yield _fill(one, pictures=pictures)
        except DataError as error:
            described = error.at(f"{one.raw.place} (id {fields.describe_id(one.id)})")
            described.row_id = one.id
            yield described


def _fill(placed: _Placed, *, pictures: PictureReader) -> Example:
    row, raw, folder = placed.row, placed.raw, placed.source.picture_folder
    assert not isinstance(raw.row, DataError)
    names = tuple(f"responses[{index}]" for index in range(len(row.draft.answers)))
    prompt, answers = fill(
        row.draft,
        row=raw.row,
        context=RowContext(
            place=raw.place,
            folder=raw.folder if folder is None else Path(folder),
            default_source=raw.stem,
        ),
        pictures=pictures,
        answer_names=names,
        allow_empty=True,
    )
    models = row.models or (None,) * len(answers)
    return Example(
        id=placed.id,
        group=row.group,
        subset=row.subset,
        cluster=prompt.id if row.prompt_id is None else row.prompt_id,
        prompt=prompt,
        responses=tuple(
            Response(content=answer, model=model)
            for answer, model in zip(answers, models, strict=True)
        ),
        right=row.right,
        place=raw.place,
    )
