"""RewardBench: text pairs in 23 subsets, weighted into four sections.

https://github.com/allenai/reward-bench (release 0.1.4), data allenai/reward-bench, split filtered.
Some upstream versions have the weights of the two XSTest subsets exchanged, which moves Safety.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vlreward.errors import DataError
from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.benchmarks.definition import HALF, WRONG, Benchmark
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.evaluation.counts import Expected
from vlreward.evaluation.marks import Array, Formula, Sums, ratio
from vlreward.evaluation.reading import (
    LoadedBenchmark,
    Part,
    ReadRow,
    RowDraft,
    read_published,
)
from vlreward.pictures import PictureStore
from vlreward.sources import fields
from vlreward.sources.config import SourceConfig
from vlreward.sources.content import Draft
from vlreward.sources.fields import Row
from vlreward.sources.hub import LoadDataset
from vlreward.sources.messages import parse_conversation

_LANGUAGES = ("cpp", "go", "java", "js", "python", "rust")

SECTIONS: Mapping[str, Mapping[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {"math-prm": 984, **{f"hep-{language}": 164 for language in _LANGUAGES}},
}
"""The weight of every subset in its section, in the order in which weights are summed.

It is the subset's number of rows, but for math-prm, whose 447 weigh as much as all code.
"""
PRIOR = "Prior Sets"
PRIOR_SETS = {"anthropic_helpful": 6192, "anthropic_hhh": 221, "shp": 1741, "summarize": 9000}
"""The older leaderboard's further section and its numbers of rows; it is a mean without weights."""
_SECTION_OF = {subset: section for section, found in SECTIONS.items() for subset in found}
_ROWS = {
    subset: 447 if subset == "math-prm" else weight
    for found in SECTIONS.values()
    for subset, weight in found.items()
}
assert sum(_ROWS.values()) == 2985


def read_row(row: Row) -> RowDraft:
    """Reads a row; text is taken as it is, and the chosen response comes first."""
    subset = fields.text(fields.required(row, "subset"), field="subset")
    if subset not in _SECTION_OF:
        raise DataError(
            "subset-unknown",
            value=subset,
            place="subset",
            expected="one of RewardBench's 23 subsets",
            mend="Read split `filtered` of allenai/reward-bench; for rows of your own choose the "
            "benchmark `pairs`.",
        )
    return _draft(row, group=_SECTION_OF[subset], subset=subset)


def prior_row_reader(subset: str) -> ReadRow:
    """The form of a prior set's rows, which do not say themselves of which set they are."""
    return lambda row: _draft(row, group=PRIOR, subset=subset)


def section(sums: Sums, name: str) -> Array:
    """A section's accuracy: its subsets', weighted; subsets without rows have no part in it.

    Sums run one after the other, as `rewardbench.utils.calculate_scores_per_section` has them, so
    that floats are the same. NaN where no subset has rows.
    """
    total, weights = np.zeros(sums.number.shape[:-1]), np.zeros(sums.number.shape[:-1])
    for subset, weight in SECTIONS[name].items():
        share = sums.share(group=name, subset=subset)
        is_there = ~np.isnan(share)
        total = total + np.where(is_there, share, 0.0) * weight
        weights = weights + np.where(is_there, weight, 0)
    return ratio(total, weights)


def figures(sums: Sums) -> dict[str, Array]:
    """The four sections and their plain mean, NaN unless all four have rows."""
    sections = {name: section(sums, name) for name in SECTIONS}
    return {**sections, "average": np.asarray(_sum(list(sections.values())) / 4)}


def figures_with_prior(sums: Sums) -> dict[str, Array]:
    """The four sections, the mean of the prior sets, and the mean in which these count half."""
    sections = {name: section(sums, name) for name in SECTIONS}
    shares = np.stack([sums.share(group=PRIOR, subset=subset) for subset in PRIOR_SETS])
    prior = ratio(np.nansum(shares, axis=0), (~np.isnan(shares)).sum(axis=0))
    average = (2 * _sum(list(sections.values())) + prior) / 9
    return {**sections, PRIOR: prior, "average": np.asarray(average)}


def arithmetic(*, with_prior: bool = False) -> Arithmetic:
    """The figures; a judge's tie or unread reply counts one half, as rewardbench has it."""
    formula: Formula = figures_with_prior if with_prior else figures
    return Arithmetic(formula=formula, main="average", protocols=(HALF, WRONG))


def load(
    config: BenchmarkConfig,
    *,
    store: PictureStore | None = None,
    load_dataset: LoadDataset | None = None,
) -> LoadedBenchmark:
    """Reads the examples, and those of the prior sets where asked for; see `read_published`."""
    home = SourceConfig(path="hub:allenai/reward-bench", split="filtered")
    parts = [Part(config.source or home, read_row)]
    subsets = dict(_ROWS)
    if config.prior_sets is not None:
        parts += _prior_parts(config.prior_sets)
        subsets |= PRIOR_SETS
    return read_published(
        parts,
        config=config,
        title="RewardBench",
        expected=Expected(totals=(sum(subsets.values()),), subsets=subsets),
        store=store,
        load_dataset=load_dataset,
    )


REWARDBENCH = Benchmark(
    name="rewardbench",
    title="RewardBench",
    load=load,
    arithmetic=lambda config: arithmetic(with_prior=config.prior_sets is not None),
)


def _draft(row: Row, *, group: str, subset: str) -> RowDraft:
    answers = tuple(
        (fields.text(fields.required(row, name), field=name),) for name in ("chosen", "rejected")
    )
    prompt = parse_conversation(fields.required(row, "prompt"), field="prompt", literal=True)
    row_id = fields.optional_text(row, "id")
    return RowDraft(
        draft=Draft(prompt=prompt, answers=answers, images=()),
        right=(0,),
        group=group,
        subset=subset,
        row_id=None if row_id is None else f"{subset}/{row_id}",
        models=tuple(fields.optional_text(row, f"{name}_model") for name in ("chosen", "rejected")),
    )


def _prior_parts(source: SourceConfig) -> list[Part]:
    """The four prior sets: splits on the hub; in a folder the files that bear their names."""
    parts = []
    for subset in PRIOR_SETS:
        if source.is_hub:
            place = SourceConfig(path=source.path, split=subset, revision=source.revision)
        else:
            place = SourceConfig(path=str(Path(source.path) / f"{subset}[.-]*"))
        parts.append(Part(place, prior_row_reader(subset)))
    return parts


def _sum(values: Sequence[Array]) -> Array:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
