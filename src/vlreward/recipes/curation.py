"""The paper's stages of curation.

The first drops what is double, alike or unsure; the second rewrites the chosen answers that a
surrogate reward model finds weak, and brings the set to a size and a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlreward.curation.config import AnyStep, CurateConfig
from vlreward.curation.decontaminate import Decontaminate
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.mixture import Mix, Modality
from vlreward.curation.reasoning_comparisons import CompareReasoning
from vlreward.curation.regenerate_weak import RegenerateWeak
from vlreward.curation.simulated_annotators import SimulatedAnnotators
from vlreward.curation.surrogate import SurrogateConfig
from vlreward.curation.weakness import Weakness
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


def second_stage_steps(
    *,
    generator: EndpointConfig,
    judge: EndpointConfig | None = None,
    recipe: str = "skywork-vl",
    model: str | None = None,
    num_folds: int = 2,
    weak_share: float = 0.1,
    drop_unimproved: bool = False,
    max_rows: int | None = None,
    modality_shares: Mapping[Modality, float] | None = None,
    seed: int = 0,
) -> tuple[AnyStep, ...]:
    """New chosen answers for weak pairs, and, where a size or shares are given, the mixture.

    The surrogate is trained by `recipe` from `model`, the recipe's own where that is unset;
    `weak_share` of its scores and as many of its margins are weak. `judge` checks the new answers,
    the surrogate where there is none. The paper's set has 150,000 pairs after this stage, about
    0.7 of its final one with pictures; its thresholds are not published.
    """
    regenerate = RegenerateWeak(
        generator=generator,
        surrogate=SurrogateConfig(recipe=recipe, model=model, num_folds=num_folds),
        weak=Weakness(chosen_quantile=weak_share, margin_quantile=weak_share),
        checker=judge or "surrogate",
        drop_unimproved=drop_unimproved,
        seed=seed,
    )
    if max_rows is None and not modality_shares:
        return (regenerate,)
    return regenerate, Mix(max_rows=max_rows, modality_shares=modality_shares or {}, seed=seed)


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
