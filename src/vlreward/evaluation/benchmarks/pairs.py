"""A user's own pairs as a benchmark, of any form that `sources` reads, by source and task."""

from __future__ import annotations

import numpy as np

from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.benchmarks.definition import HALF, WRONG, Benchmark
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.evaluation.examples import Example
from vlreward.evaluation.marks import Array, Sums
from vlreward.evaluation.reading import LoadedBenchmark, UniqueIds, choose, unread
from vlreward.pictures import PictureStore
from vlreward.records import PreferencePair
from vlreward.sources.hub import LoadDataset
from vlreward.sources.read import load_preferences


def example_of(pair: PreferencePair, *, row_id: str) -> Example:
    """The pair as an example: the chosen response first, its source the group, its task the subset.

    A pair without a task has its source for one.
    """
    return Example(
        id=row_id,
        group=pair.origin.source,
        subset=pair.origin.task or pair.origin.source,
        cluster=pair.prompt.id,
        prompt=pair.prompt,
        responses=(pair.chosen, pair.rejected),
        right=(0,),
        place=pair.origin.place,
    )


def load(
    config: BenchmarkConfig,
    *,
    store: PictureStore | None = None,
    load_dataset: LoadDataset | None = None,
) -> LoadedBenchmark:
    """Reads the pairs; rows that are not pairs are noted. Raises DataError where none is one."""
    assert config.source is not None, "the configuration asks for a source"
    pairs, refused = load_preferences([config.source], store=store, load_dataset=load_dataset)
    if not pairs:
        raise refused[0]
    ids = UniqueIds()
    examples = [example_of(one, row_id=ids.name(one.origin.row_id or one.id)) for one in pairs]
    return LoadedBenchmark(
        examples=tuple(
            choose(
                examples,
                limit=config.limit,
                bucket=lambda one: (one.group, one.subset),
                name=lambda one: one.id,
            )
        ),
        refused=tuple(refused),
        num_rows=len(examples) + len(refused),
        notes=unread(refused),
    )


def figures(sums: Sums) -> dict[str, Array]:
    """By source and task, where there are several; over all rows; and the mean of the sources."""
    groups = {group: sums.share(group=group) for group in sums.groups}
    found: dict[str, Array] = {}
    for group, share in groups.items():
        if len(groups) > 1:
            found[group] = share
        subsets = dict.fromkeys(one.subset for one in sums.buckets if one.group == group)
        if len(subsets) > 1:
            found |= {f"{group}/{one}": sums.share(group=group, subset=one) for one in subsets}
    found["overall"] = sums.share()
    if len(groups) > 1:
        total = sum(groups.values(), start=np.zeros(sums.number.shape[:-1]))
        found["mean of sources"] = np.asarray(total / len(groups))
    return found


PAIRS = Benchmark(
    name="pairs",
    title="Pairs",
    load=load,
    arithmetic=lambda _: Arithmetic(formula=figures, main="overall", protocols=(HALF, WRONG)),
)
