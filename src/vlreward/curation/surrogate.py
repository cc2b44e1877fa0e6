"""A surrogate reward model's scores of all pairs, each by a model that has not seen its prompt.

A reward model trained on the set scores the set: low scores and small margins show where it is
weak. Since a model knows the rows that it was trained on, prompts are dealt into folds, and the
pairs of a fold are scored by a model trained on all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from vlreward.curation.frames import Frame
from vlreward.curation.rows import hash_of, prompt_key
from vlreward.curation.steps import Bench
from vlreward.curation.working_set import numbered_pairs
from vlreward.durable import written_atomically
from vlreward.errors import ConfigError, DataError, VlrewardError, require
from vlreward.interfaces import RewardFitter, Scorer
from vlreward.records import PreferencePair, Prompt, Response
from vlreward.statistics import wilson_interval

_MOST_FOLDS = 10
_ENOUGH_TO_TELL = 100
"""Pairs from which on a share of right orders says something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SurrogateConfig:
    """How the surrogate is trained, and on how much of the set."""

    recipe: str = "skywork-vl"
    """The training recipe: skywork-vl, miniature or scratch."""
    model: str | None = None
    """Folder or name of the model to begin with; unset, the recipe's own."""
    num_folds: int = 2
    """Into how many folds prompts are dealt: each is scored by a model trained on the others. With
    1, one model is trained on all pairs and scores those same pairs."""

    def __post_init__(self) -> None:
        require(
            1 <= self.num_folds <= _MOST_FOLDS,
            place="num_folds",
            value=self.num_folds,
            expected=f"a whole number from 1 to {_MOST_FOLDS}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A row's rewards, comparable with those of its own fold only; None if it has none.

    A row has none if the model cannot read it: its prompt is too long, or a picture is gone.
    """

    row: int
    id: str
    fold: int
    chosen: float | None
    rejected: float | None

    @property
    def margin(self) -> float | None:
        """Chosen less rejected."""
        if self.chosen is None or self.rejected is None:
            return None
        return self.chosen - self.rejected


class _Dealt(NamedTuple):
    """A row's pair and the fold it was dealt into."""

    row: int
    fold: int
    pair: PreferencePair


class Surrogate:
    """The surrogate models of a set's rows, one a fold, trained when they are first needed.

    Runs and scores lie in the bench's folder: what an earlier start found is taken from there.
    """

    def __init__(self, rows: Frame, *, config: SurrogateConfig, seed: int, bench: Bench) -> None:
        self._rows = rows
        self._config = config
        self._seed = seed
        self._bench = bench

    @property
    def is_known(self) -> bool:
        """Whether all scores are there already."""
        return all(self._path(fold).exists() for fold in range(self._config.num_folds))

    def scores(self) -> list[Scored]:
        """The scores of all rows, sorted by fold and id.

        Raises DataError if a fold's pairs cannot be scored because all prompts lie in it, and as
        the fitter does.
        """
        found = []
        for fold in range(self._config.num_folds):
            path = self._path(fold)
            if not path.exists():
                _write(_table(list(self._score(fold))), path)
            found += _read(path)
        return found

    def scorer(self, fold: int) -> Scorer:
        """The model of a fold, trained on the pairs of all others."""
        used = [one.pair for one in self._dealt if one.fold != fold or self._config.num_folds == 1]
        if not used:
            raise DataError(
                "surrogate-without-pairs",
                value=f"all {len(self._dealt)} pairs are in one of {self._config.num_folds} folds",
                place="surrogate",
                expected="pairs of several prompts, to train on some and score others",
                mend="Give more data, or set num_folds to 1.",
            )
        return self._fitter().fit(used, seed=self._seed)

    def _score(self, fold: int) -> Iterator[Scored]:
        own = [one for one in self._dealt if one.fold == fold]
        if not own:
            return
        asked = [(one.pair.prompt, [one.pair.chosen, one.pair.rejected]) for one in own]
        rewards = rewards_of(self.scorer(fold), asked)
        for one, values in zip(own, rewards, strict=True):
            if self._bench.advance is not None:
                self._bench.advance("scored")
            chosen, rejected = values or (None, None)
            yield Scored(row=one.row, id=one.pair.id, fold=fold, chosen=chosen, rejected=rejected)

    @cached_property
    def _dealt(self) -> list[_Dealt]:
        """All rows by id, dealt by their prompts."""
        return [
            _Dealt(row, self._fold_of(pair.prompt), pair)
            for row, pair in numbered_pairs(self._rows)
        ]

    def _fold_of(self, prompt: Prompt) -> int:
        return hash_of(f"{self._seed} {prompt_key(prompt)}") % self._config.num_folds

    def _fitter(self) -> RewardFitter:
        assert self._bench.fitters is not None, "a run whose steps need a surrogate has fitters"
        return self._bench.fitters(
            self._config.recipe,
            model=self._config.model,
            folder=self._bench.folder / "surrogate",
        )

    def _path(self, fold: int) -> Path:
        return self._bench.folder / "scores" / f"fold-{fold}.parquet"


def rewards_of(
    scorer: Scorer, comparisons: Sequence[tuple[Prompt, Sequence[Response]]]
) -> Iterator[list[float] | None]:
    """The rewards of each comparison's responses; None where the scorer cannot read them."""
    for outcome in scorer.score_each(comparisons):
        if isinstance(outcome, DataError):
            yield None
        elif isinstance(outcome, VlrewardError):
            raise outcome
        else:
            yield [score.value for score in outcome]


def publish_scores(scores: Iterable[Scored], path: Path) -> None:
    """Writes them as a Parquet file, sorted by id, the same for any order of reading.

    Columns are the fields of `Scored` but `row`.
    """
    ordered = sorted(scores, key=lambda one: (one.id, str(one.chosen), str(one.rejected)))
    _write(_table(ordered).drop_columns(["row"]), path)


def _table(scores: Sequence[Scored]) -> Any:
    """An Arrow table with the fields of `Scored` as columns."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("id", pa.string()),
            ("fold", pa.int32()),
            ("chosen", pa.float64()),
            ("rejected", pa.float64()),
        ]
    )
    return pa.Table.from_pylist([asdict(one) for one in scores], schema=schema)


def _write(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    with written_atomically(path) as file:
        pq.write_table(table, file)


def _read(path: Path) -> list[Scored]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return [Scored(**row) for row in rows]


def refuse_chance(scores: Sequence[Scored], *, recipe: str) -> None:
    """Raises ConfigError if so many pairs show that the surrogate orders them as chance does."""
    margins = [one.margin for one in scores if one.margin is not None]
    if len(margins) < _ENOUGH_TO_TELL:
        return
    right = sum(margin > 0 for margin in margins)
    low, high = wilson_interval(right, len(margins))
    if low <= 0.5:
        share = f"{right / len(margins):.3f} [{low:.3f}, {high:.3f}]"
        raise ConfigError(
            "surrogate-at-chance",
            value=f"{share} of {len(margins)} pairs ordered rightly by {recipe}",
            place="surrogate",
            expected="clearly more than half, before anything is rewritten by its scores",
            mend="Train it from a better model or on more pairs, or leave regenerate-weak out.",
        )
