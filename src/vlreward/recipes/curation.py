"""The paper's stages of curation.

The first drops what is double, alike or unsure; the second rewrites the chosen answers that a
surrogate reward model finds weak, and brings the set to a size and a mixture; the third adds
reasoning answers that people compared. Thresholds are our choice; the paper's are not published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlreward.curation.compare_reasoning import CompareReasoning
from vlreward.curation.config import AnyStep, CurateConfig
from vlreward.curation.decontaminate import Decontaminate
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.mix import Mix, Modality
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
    judge: EndpointConfig | None = None,
    output: str = "runs/curated",
) -> CurateConfig:
    """The first stage alone; `judge` is asked about rows that do not say how sure their label is.

    Where benchmarks are named, what is in them is dropped too.
    """
    steps = first_stage_steps(benchmarks=benchmarks, judge=judge)
    return CurateConfig(output=output, data=parse_sources(data), steps=steps)


def three_stages(
    *,
    data: str | Sequence[str | SourceConfig],
    generator: EndpointConfig,
    reasoner: EndpointConfig,
    describer: EndpointConfig | None = None,
    judge: EndpointConfig | None = None,
    benchmarks: str | Sequence[str | SourceConfig] = (),
    surrogate: str = "skywork-vl",
    surrogate_model: str | None = None,
    max_rows: int | None = None,
    output: str = "runs/curated",
) -> CurateConfig:
    """All stages of the paper; `generator` sees pictures, `reasoner` need not.

    The surrogate is trained by the recipe of that name, from the recipe's model or another one. The
    generator writes new answers, answers directly and, without a describer, describes; the judge
    checks labels and new answers, and names fields of study. The run waits for people's decisions
    in between.
    """
    steps = (
        *first_stage_steps(benchmarks=benchmarks, judge=judge),
        *second_stage_steps(
            generator=generator,
            judge=judge,
            recipe=surrogate,
            model=surrogate_model,
            max_rows=max_rows,
        ),
        *third_stage_steps(vlm=generator, describer=describer, reasoner=reasoner, labeller=judge),
    )
    return CurateConfig(output=output, data=parse_sources(data), steps=steps)


def miniature_curation(
    *, data: Sequence[str], base_url: str, output: str, surrogate_model: str = "miniature"
) -> CurateConfig:
    """All stages on the miniature world, its models at `base_url`, annotators simulated.

    The surrogate is trained from the shipped reward model: a small set teaches the base nothing.
    """

    def asked(model: str) -> EndpointConfig:
        return EndpointConfig(
            base_url=base_url,
            model=model,
            max_concurrency=16,
            max_output_tokens=400,
            dollars_per_million_input_tokens=2.5,
            dollars_per_million_output_tokens=10.0,
            tokens_per_picture=100,
        )

    judge, vlm = asked("world-judge"), asked("world-vlm")
    steps = (
        *first_stage_steps(judge=judge),
        *second_stage_steps(
            generator=vlm,
            judge=judge,
            recipe="miniature",
            model=surrogate_model,
            weak_share=0.2,
        ),
        *third_stage_steps(
            vlm=vlm,
            describer=asked("world-describer"),
            reasoner=asked("world-reasoner"),
            labeller=judge,
            annotators=SimulatedAnnotators(endpoint=judge, num_annotators=3, error_rate=0.05),
            max_prompts=200,
            num_votes=3,
        ),
    )
    return CurateConfig(output=output, data=parse_sources(data), steps=steps)


def first_stage_steps(
    *,
    benchmarks: str | Sequence[str | SourceConfig] = (),
    judge: EndpointConfig | None = None,
) -> tuple[AnyStep, ...]:
    """What drops doubles, look-alikes, what benchmarks hold, if any, and unsure labels.

    No judge is paid for a row that a benchmark holds.
    """
    named = parse_sources(benchmarks)
    contaminated = (Decontaminate(benchmarks=named),) if named else ()
    return DropIdentical(), DropSimilar(), *contaminated, DropAmbiguous(judge=judge)


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
