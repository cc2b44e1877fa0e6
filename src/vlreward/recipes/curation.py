"""The paper's first stage of curation: de-duplicate, drop what is similar, drop what is unsure."""

from __future__ import annotations

from collections.abc import Sequence

from vlreward.curation.config import AnyStep, CurateConfig
from vlreward.curation.decontaminate import Decontaminate
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.reasoning_comparisons import CompareReasoning
from vlreward.curation.simulated_annotators import SimulatedAnnotators
from vlreward.generation.config import EndpointConfig
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


def third_stage_steps(
    *,
    vlm: EndpointConfig,
    reasoner: EndpointConfig,
    describer: EndpointConfig | None = None,
    labeller: EndpointConfig | None = None,
    annotators: SimulatedAnnotators | None = None,
    max_prompts: int = 50_000,
    num_votes: int = 1,
    seed: int = 0,
) -> tuple[AnyStep, ...]:
    """Reasoning answers in the paper's two ways of generation, compared by people.

    `vlm` answers directly and, without a describer, describes for the reasoner too. The run waits
    for people's decisions, unless simulated annotators decide in their place. How many people
    decided a task is not published.
    """
    return (
        CompareReasoning(
            vlm=vlm,
            describer=describer or vlm,
            reasoner=reasoner,
            labeller=labeller,
            annotators=annotators,
            max_prompts=max_prompts,
            num_votes=num_votes,
            seed=seed,
        ),
    )
