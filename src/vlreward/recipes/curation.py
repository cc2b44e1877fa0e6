"""The paper's first stage of curation: de-duplicate, drop what is similar, drop what is unsure."""

from __future__ import annotations

from collections.abc import Sequence

from vlreward.curation.config import AnyStep, CurateConfig
from vlreward.curation.decontaminate import Decontaminate
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.sources.config import SourceConfig
from vlreward.sources.spec import parse_sources


def first_stage(
    *,
    data: str | Sequence[str | SourceConfig],
    benchmarks: str | Sequence[str | SourceConfig] = (),
    output: str = "runs/curated",
) -> CurateConfig:
    """The steps of the paper's section on data, and decontamination where benchmarks are named.

    Thresholds are our choice; the paper's are not published.
    """
    steps: list[AnyStep] = [DropIdentical(), DropSimilar(), DropAmbiguous()]
    named = parse_sources(benchmarks)
    if named:
        steps.append(Decontaminate(benchmarks=named))
    return CurateConfig(output=output, data=parse_sources(data), steps=tuple(steps))
