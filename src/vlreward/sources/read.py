"""Reading preferences and scoring input: the way in for every form and place."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from vlreward.errors import DataError, require
from vlreward.pictures import PictureStore
from vlreward.records import PreferencePair, Prompt, Response
from vlreward.sources import fields
from vlreward.sources.attachments import PictureReader
from vlreward.sources.comparisons import (
    COMPARISON_FORMS,
    Comparison,
    comparison_forms_of,
    to_comparison,
)
from vlreward.sources.config import SourceConfig
from vlreward.sources.convert import RowContext, row_id_of, source_of, to_pair
from vlreward.sources.detect import PAIR_FORMS, forms_of, unknown_form
from vlreward.sources.fields import Row
from vlreward.sources.files import RawRow, find_files, read_rows
from vlreward.sources.hub import LoadDataset, open_hub
from vlreward.sources.ratings import (
    RATED_FORMS,
    RatedAnswer,
    RatedForm,
    pairs_of,
    rated_forms_of,
    rows_of_answers,
    to_rated_answers,
    unpaired,
)

_ROWS_TO_TELL_FORM = 100

_ALSO_RATED = "rated (prompt, responses, ratings), llava-critic-pointwise, "

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)


class LoadedPreferences(NamedTuple):
    """The pairs in the order of their rows, and the errors of the rows that were refused."""

    pairs: list[PreferencePair]
    refused: list[DataError]


def find_source(config: SourceConfig) -> None:
    """Raises DataError if local data is not there; what is on the hub shows when it is read."""
    if not config.is_hub:
        find_files(config.path)


def read_preferences(
    config: SourceConfig,
    *,
    store: PictureStore | None = None,
    load_dataset: LoadDataset | None = None,
) -> Iterator[PreferencePair | DataError]:
    """The pairs of a data set, one row at a time; a row that is not a pair yields its error.

    Rated answers are read to the end before their pairs come, as a prompt's may lie anywhere; rows
    that are in no pair then come as `rating-unpaired`.
    Pictures given by path stay where they are; embedded ones go to the store, or without one stay
    in memory. Raises DataError if the data as a whole cannot be read: no such file, a damaged
    file, rows of no known form, no rows. `load_dataset` stands for `datasets.load_dataset`.
    """
    return _read_pairs(open_rows(config, load_dataset=load_dataset), config=config, store=store)


def load_preferences(
    configs: Sequence[SourceConfig],
    *,
    store: PictureStore | None = None,
    load_dataset: LoadDataset | None = None,
) -> LoadedPreferences:
    """All pairs of several data sets, with what was refused; raises as `read_preferences` does."""
    loaded = LoadedPreferences(pairs=[], refused=[])
    for config in configs:
        for item in read_preferences(config, store=store, load_dataset=load_dataset):
            if isinstance(item, DataError):
                loaded.refused.append(item)
            else:
                loaded.pairs.append(item)
    return loaded


def read_comparisons(
    config: SourceConfig, *, store: PictureStore | None = None
) -> Iterator[Comparison | DataError]:
    """Scoring input, one row at a time; a row that cannot be scored yields its error.

    Rows are {prompt, responses, images?, id?}, where prompt and each response are text with
    markers, messages or content parts, or conversations whose last turn is the response, or they
    are pairs of any form. Raises as `read_preferences` does.
    """
    require(
        config.format == "auto" or config.format in COMPARISON_FORMS,
        place="format",
        value=config.format,
        expected=f"auto or one of {', '.join(COMPARISON_FORMS)}, to score rows",
    )
    return _read_comparisons(open_rows(config), config=config, store=store)


def load_comparisons(
    config: SourceConfig, *, store: PictureStore | None = None
) -> list[Comparison]:
    """All rows of scoring input; raises the first row's error that cannot be read."""
    found = []
    for item in read_comparisons(config, store=store):
        if isinstance(item, DataError):
            raise item
        found.append(item)
    return found


def open_rows(config: SourceConfig, *, load_dataset: LoadDataset | None = None) -> Iterator[RawRow]:
    """The rows as they lie in their files or on the hub, lazily, of whatever form and split.

    Raises DataError if the data is not there.
    """
    if config.is_hub:
        return open_hub(config, load_dataset=load_dataset)
    files = find_files(config.path)
    return itertools.chain.from_iterable(read_rows(file) for file in files)


class _Convert(Protocol[F_contra, T_co]):
    def __call__(
        self, row: Row, *, form: F_contra, context: RowContext, pictures: PictureReader
    ) -> T_co: ...


def _read_pairs(
    rows: Iterator[RawRow], *, config: SourceConfig, store: PictureStore | None
) -> Iterator[PreferencePair | DataError]:
    name, rows = _tell_form(rows, config=config, forms_of=_any_forms_of, also=_ALSO_RATED)
    if name is not None and name in RATED_FORMS:
        yield from _read_rated(rows, form=RATED_FORMS[name], config=config, store=store)
    else:
        form = None if name is None else PAIR_FORMS[name]
        yield from _read(rows, form=form, convert=to_pair, config=config, store=store)


def _read_comparisons(
    rows: Iterator[RawRow], *, config: SourceConfig, store: PictureStore | None
) -> Iterator[Comparison | DataError]:
    also = "responses (prompt, responses), conversation (messages or conversations alone), "
    name, rows = _tell_form(rows, config=config, forms_of=comparison_forms_of, also=also)
    form = None if name is None else COMPARISON_FORMS[name]
    yield from _read(rows, form=form, convert=to_comparison, config=config, store=store)


def _any_forms_of(row: Row) -> list[str]:
    return rated_forms_of(row) or forms_of(row)


def _read_rated(
    rows: Iterator[RawRow], *, form: RatedForm, config: SourceConfig, store: PictureStore | None
) -> Iterator[PreferencePair | DataError]:
    """The refused rows as they come; once all are read, the pairs that the others make.

    Then come the errors of the rows that are in no pair.
    """
    answers: list[RatedAnswer] = []
    for item in _read(rows, form=form, convert=to_rated_answers, config=config, store=store):
        if isinstance(item, DataError):
            yield item
        else:
            answers += item
    used: set[tuple[Prompt, Response]] = set()
    for pair in pairs_of(
        answers, min_gap=config.min_rating_gap, max_pairs=config.max_pairs_per_prompt
    ):
        used |= {(pair.prompt, pair.chosen), (pair.prompt, pair.rejected)}
        yield pair
    yield from (
        unpaired(row, min_gap=config.min_rating_gap)
        for row in rows_of_answers(answers)
        if not any((one.prompt, one.response) in used for one in row)
    )


def _read(
    rows: Iterator[RawRow],
    *,
    form: F | None,
    convert: _Convert[F, T],
    config: SourceConfig,
    store: PictureStore | None,
) -> Iterator[T | DataError]:
    pictures = PictureReader(store)
    num_read = 0
    other_splits: set[str] = set()
    for raw in rows:
        try:
            if isinstance(raw.row, DataError):
                raise raw.row
            split = _split_of(raw.row, config=config)
            if split != config.split and not config.is_hub:
                other_splits.add(split or "")
                continue
            assert form is not None, "a row that reads has told its form"
            context = _context(raw, config=config)
            item: T | DataError = convert(raw.row, form=form, context=context, pictures=pictures)
        except DataError as error:
            item = _placed(error, raw, config=config)
        num_read += 1
        yield item
        if num_read == config.limit:
            return
    if num_read == 0:
        raise _nothing_read(config, other_splits)


def _tell_form(
    rows: Iterator[RawRow],
    *,
    config: SourceConfig,
    forms_of: Callable[[Row], list[str]],
    also: str,
) -> tuple[str | None, Iterator[RawRow]]:
    """The form's name, told by the first row that fits just one, and all the rows.

    The form is None where no row could be read at all.
    """
    if config.format != "auto":
        return config.format, rows
    held: list[RawRow] = []
    unknown: DataError | None = None
    for raw in itertools.islice(rows, _ROWS_TO_TELL_FORM):
        held.append(raw)
        if isinstance(raw.row, DataError):
            continue
        names = forms_of(raw.row)
        if len(names) == 1:
            return names[0], itertools.chain(held, rows)
        unknown = unknown or unknown_form(raw.row, place=raw.place, also=also)
    if unknown is not None:
        raise unknown
    if len(held) == _ROWS_TO_TELL_FORM and isinstance(held[0].row, DataError):
        raise _placed(held[0].row, held[0], config=config)
    return None, iter(held)


def _split_of(row: Row, *, config: SourceConfig) -> str | None:
    """The row's split where one is asked for, else None."""
    if config.split is None or config.is_hub:
        return None
    return fields.text(fields.required(row, "split"), field="split")


def _context(raw: RawRow, *, config: SourceConfig) -> RowContext:
    return RowContext(
        place=raw.place,
        folder=Path(config.picture_folder) if config.picture_folder is not None else raw.folder,
        default_source=raw.stem,
        forced_source=config.name,
        default_split=(config.split or "train") if config.is_hub else None,
    )


def _placed(error: DataError, raw: RawRow, *, config: SourceConfig) -> DataError:
    """The error with its row, whose place, and id where it has one, stand before its own."""
    row_id = None if isinstance(raw.row, DataError) else row_id_of(raw.row)
    known = isinstance(row_id, (str, int)) and not isinstance(row_id, bool)
    place = f"{raw.place} (id {fields.describe_id(row_id)})" if known else raw.place
    placed = error.at(place)
    if known:
        is_plain = isinstance(row_id, str) and fields.is_writable(row_id)
        placed.row_id = str(row_id) if is_plain else fields.describe_id(row_id)
    placed.row_place, placed.row_field = raw.place, error.place
    placed.row_source = _source_of(raw, config=config)
    return placed


def _source_of(raw: RawRow, *, config: SourceConfig) -> str:
    """What the row's source is called, as far as the row can be read."""
    context = _context(raw, config=config)
    with suppress(DataError):
        return source_of({} if isinstance(raw.row, DataError) else raw.row, context=context)
    return context.default_source


def _nothing_read(config: SourceConfig, other_splits: set[str]) -> DataError:
    if other_splits:
        return DataError(
            "split-empty",
            value=f"the splits {', '.join(sorted(other_splits))}",
            place=config.path,
            expected=f"rows of the split {config.split!r}",
            mend="Name one of the splits that the rows have.",
        )
    return DataError(
        "file-empty",
        value="no rows",
        place=config.path,
        expected="at least one row",
        mend="Check that the file was written to its end.",
    )
