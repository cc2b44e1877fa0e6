"""From the words of a command line to the configuration of a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro

from vlreward import configuration
from vlreward.arguments import CurateArguments, EvalArguments
from vlreward.durable import write_text_atomically
from vlreward.errors import ConfigError, require
from vlreward.generation.spec import parse_endpoint
from vlreward.recipes.scratch import scratch
from vlreward.recipes.skywork_vl import skywork_vl
from vlreward.sources.config import SourceConfig
from vlreward.sources.spec import describe_source, parse_source
from vlreward.training.config import TrainConfig

if TYPE_CHECKING:
    from vlreward.curation.config import CurateConfig
    from vlreward.evaluation.config import EvaluateConfig

    RunConfig = TypeVar("RunConfig", CurateConfig, EvaluateConfig)

_RECIPES: dict[str, Callable[..., TrainConfig]] = {"skywork-vl": skywork_vl, "scratch": scratch}
_PLACEHOLDER = SourceConfig(path="(give --data)")

_TRAIN_HELP = """\
Trains a reward model in a run folder; the same command again resumes. RECIPE is skywork-vl or
scratch, or --from FILE, which is a run's config.yaml. The defaults below are the recipe's, those of
skywork-vl where none is named."""


def read_curate_config(arguments: Sequence[str]) -> tuple[CurateArguments, CurateConfig]:
    """The arguments of `vlreward curate`, and what they configure; raises ConfigError."""
    from vlreward.curation.config import CurateConfig

    _refuse_twice(arguments)
    with _sources_in_one_word():
        given = tyro.cli(CurateArguments, args=arguments, prog="vlreward curate")
    _refuse_unused(given)
    if given.from_ is not None:
        return given, _config_of(given.from_, CurateConfig, output=given.output)
    if not given.data:
        raise _missing("data", expected="--data SOURCE [SOURCE …], what to curate, or --from FILE")
    if given.output is None:
        raise _missing("output", expected="--output FOLDER, where the run and its set go")
    recipe = _curation_recipe(given)
    embedder = given.embedder or recipe.embedder
    return given, replace(recipe, output=given.output, embedder=embedder, exports=given.exports)


def _missing(flag: str, *, expected: str) -> ConfigError:
    return ConfigError(
        f"{flag}-missing",
        value=f"no --{flag}",
        place="command line",
        expected=expected,
        mend="For instance: vlreward curate --data pairs.jsonl --output runs/curated",
    )


def write_config(config: object, path: Path) -> None:
    """Writes a configuration into a new file, its fields explained; raises ConfigError."""
    if path.exists():
        raise ConfigError(
            "config-exists",
            value="a file that is there",
            place=str(path),
            expected="the name of a new file",
            mend="Choose another name, or remove the file.",
        )
    write_text_atomically(path, configuration.to_yaml(config))


def _refuse_run_flags(given: CurateArguments | EvalArguments) -> None:
    """Raises ConfigError for flags of a run where a configuration is only written."""
    for name in ("dry_run", "max_dollars", "drop_unanswered", "cluster"):
        if given.write_config is not None and getattr(given, name, None) not in (None, False):
            raise ConfigError(
                "flag-unused",
                value=f"--{name.replace('_', '-')}",
                place="command line",
                expected="no such flag beside --write-config, which starts no run",
                mend="Leave one of the two out: the flag belongs to the run of the written file.",
            )


def _refuse_unused(given: CurateArguments) -> None:
    """Raises ConfigError for a flag that the recipe, or a file in its place, does not take."""
    _refuse_run_flags(given)
    used = {
        "output",
        "max_dollars",
        "drop_unanswered",
        "dry_run",
        "cluster",
        "from_",
        "write_config",
    }
    where = f"--from {given.from_}"
    if given.from_ is None:
        used |= {"recipe", "data", "benchmarks", "exports", "embedder", "judge"}
        where = given.recipe
    if given.from_ is None and given.recipe == "three-stages":
        return
    for one in fields(given):
        if one.name not in used and getattr(given, one.name) != one.default:
            is_recipe = one.name == "recipe"
            beside_file = given.from_ is not None
            raise ConfigError(
                "flag-unused",
                value=given.recipe if is_recipe else f"--{one.name.replace('_', '-')}",
                place="command line",
                expected=f"no such {'recipe' if is_recipe else 'flag'} beside {where}, which does "
                "not take it",
                mend="Leave it out, or change the file."
                if beside_file
                else "Leave it out, or name the recipe three-stages.",
            )


def _curation_recipe(given: CurateArguments) -> CurateConfig:
    from vlreward.recipes.curation import first_stage, three_stages

    judge = parse_endpoint(given.judge) if given.judge else None
    if given.recipe == "first-stage":
        return first_stage(data=given.data, benchmarks=given.benchmarks, judge=judge)
    if given.generator is None or given.reasoner is None:
        raise ConfigError(
            "endpoint-missing",
            value="no --generator" if given.generator is None else "no --reasoner",
            place="command line",
            expected="--generator MODEL and --reasoner MODEL, such as openai:gpt-4o",
            mend="Name both models, or leave it at first-stage.",
        )
    return three_stages(
        data=given.data,
        benchmarks=given.benchmarks,
        generator=parse_endpoint(given.generator),
        reasoner=parse_endpoint(given.reasoner),
        describer=parse_endpoint(given.describer) if given.describer else None,
        judge=judge,
        surrogate=given.surrogate,
        surrogate_model=given.surrogate_model,
        max_rows=given.max_rows,
    )


def _config_of(path: Path, config_type: type[RunConfig], *, output: str | None) -> RunConfig:
    """The configuration in a file, with the folder of the run if the flags name one."""
    config = configuration.load(path, config_type)
    if output is not None:
        return replace(config, output=output)
    _refuse_copied(path, output=config.output)
    return config


def _refuse_copied(path: Path, *, output: str) -> None:
    """Raises ConfigError for the file of a run's folder that was moved or copied from another."""
    folder = path.absolute().parent
    is_of_run = path.name == "config.yaml" and (folder / "command.json").exists()
    if is_of_run and os.path.realpath(folder) != os.path.realpath(output):
        raise ConfigError(
            "run-moved",
            value=f"output: {output}",
            place=str(path),
            expected=f"{folder}, the folder of the run that the file is of, or --output",
            mend=f"--output {output} goes on there; --output NEW-FOLDER runs it anew.",
        )


def read_evaluate_config(given: EvalArguments) -> EvaluateConfig:
    """What the arguments of `vlreward eval` configure; raises ConfigError or DataError."""
    from vlreward.evaluation.config import EvaluateConfig
    from vlreward.evaluation.spec import evaluation

    if given.from_ is not None:
        but = {"from_", "output", "max_dollars", "dry_run", "write_config"}
        _refuse_set(given, but=but, beside="--from")
        output = None if given.output is None else str(given.output)
        return _config_of(given.from_, EvaluateConfig, output=output)
    benchmarks, models = [*chain(*given.benchmark)], [*chain(*given.model)]
    missing = [
        flag
        for flag, value in (
            ("--model", models),
            ("--benchmark and no --data", benchmarks or given.data),
            ("--output", given.output),
        )
        if not value
    ]
    if missing:
        raise ConfigError(
            "flag-missing",
            value=f"no {missing[0]}",
            place="command line",
            expected="--benchmark NAME or --data FILE, --model MODEL and --output FOLDER; or "
            "--from FILE; or --compare RUN [RUN]",
            mend="For instance: vlreward eval --benchmark vl-rewardbench --model runs/demo/model "
            "--output runs/eval",
        )
    return evaluation(
        models=models,
        benchmarks=benchmarks,
        data=[*chain(*given.data)],
        output=str(given.output),
        limit=given.limit,
        partial=given.partial,
        prior_sets=given.prior_sets,
        protocol=given.protocol,
        num_votes=given.votes,
        shuffled_pictures=given.shuffled_pictures,
        runs_code_of_models=given.run_model_code,
        seed=given.seed,
    )


def read_eval_arguments(arguments: Sequence[str]) -> EvalArguments:
    """The arguments of `vlreward eval`; raises ConfigError for flags that contradict each other."""
    _refuse_twice(arguments, but={"--benchmark", "--data", "--model"})
    with _sources_in_one_word():
        given = tyro.cli(EvalArguments, args=arguments, prog="vlreward eval")
    if given.compare:
        _refuse_set(given, but={"compare", "output", "seed"}, beside="--compare")
        if len(given.compare) > 2:
            raise ConfigError(
                "compare-many",
                value=f"{len(given.compare)} runs",
                place="--compare",
                expected="two runs, or one with several models",
                mend="Compare them two by two.",
            )
    _refuse_run_flags(given)
    return given


def _refuse_set(given: EvalArguments, *, but: set[str], beside: str) -> None:
    """Raises ConfigError for a flag that is set beside one that does not take it."""
    for one in fields(given):
        if one.name not in but and getattr(given, one.name) != one.default:
            raise ConfigError(
                "flag-unused",
                value=f"--{one.name.rstrip('_').replace('_', '-')}",
                place="command line",
                expected=f"no such flag beside {beside}, which does not take it",
                mend="Leave it out.",
            )


@dataclass(frozen=True, kw_only=True)
class TrainArguments:
    """A run's configuration, and whether it is only rehearsed."""

    run: Annotated[TrainConfig, tyro.conf.arg(name="")]
    dry_run: bool = False
    """Only read and check everything, and make two steps on the longest pairs of each stage, to
    know their memory and time; nothing is written."""
    overfit_steps: int = 0
    """With --dry-run: make so many steps on the first batch. A model that can learn brings its loss
    near zero; 30 are mostly enough."""

    def __post_init__(self) -> None:
        steps = self.overfit_steps
        require(steps >= 0, place="overfit_steps", value=steps, expected="0 or more")
        holds = self.dry_run or not steps
        require(holds, place="overfit_steps", value=steps, expected="0 without --dry-run")


def read_train_arguments(arguments: Sequence[str]) -> TrainArguments:
    """What the arguments of `vlreward train` describe.

    First a recipe's name or `--from FILE`, then flags that change single values. Raises
    ConfigError; help and flags that do not parse end the program as tyro does.
    """
    _refuse_twice(arguments)
    base, rest = _base_config(list(arguments))
    with _sources_in_one_word():
        given = tyro.cli(
            TrainArguments,
            args=rest,
            default=TrainArguments(run=base),
            prog="vlreward train RECIPE",
            description=_TRAIN_HELP,
            config=(tyro.conf.AvoidSubcommands,),
        )
    if _PLACEHOLDER in given.run.data:
        raise ConfigError(
            "data-missing",
            value="no --data",
            place="command line",
            expected="--data SOURCE [SOURCE …], each path[#split] or hub:owner/name[#split]",
            mend="Name the preference data to train on.",
        )
    names_output = any(word.split("=")[0] == "--output" for word in rest)
    if arguments[0] == "--from" and not names_output:
        _refuse_copied(Path(arguments[1]), output=given.run.output)
    return given


def _refuse_twice(arguments: Sequence[str], *, but: Collection[str] = ()) -> None:
    """Raises ConfigError for a flag given twice, of which only the last would count."""
    words = [word.split("=")[0] for word in arguments if word.startswith("--")]
    flags = Counter(word.replace("_", "-") for word in words)
    for flag, number in flags.items():
        if number > 1 and flag not in but:
            raise ConfigError(
                "flag-twice",
                value=f"{flag} {number} times",
                place="command line",
                expected="each flag once",
                mend=f"Give all its values after one: {flag} A B …",
            )


def _base_config(arguments: list[str]) -> tuple[TrainConfig, list[str]]:
    """What the flags change, and the flags."""
    if arguments[:1] == ["--from"] and len(arguments) > 1:
        return configuration.load(Path(arguments[1]), TrainConfig), arguments[2:]
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        return skywork_vl(data=[_PLACEHOLDER]), arguments
    if name not in _RECIPES:
        raise ConfigError(
            "recipe-unknown",
            value=name or "nothing",
            place="command line",
            expected=f"a recipe ({', '.join(_RECIPES)}) or --from FILE, before the flags",
            mend="For instance: vlreward train scratch --data pairs.jsonl#train",
        )
    return _RECIPES[name](data=[_PLACEHOLDER]), arguments[1:]


def _sources_in_one_word() -> tyro.constructors.ConstructorRegistry:
    """What lets a source be given as `parse_source` reads it."""
    registry = tyro.constructors.ConstructorRegistry()
    registry.primitive_rule(_source_rule)
    return registry


def _source_rule(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[SourceConfig] | None:
    """Teaches tyro to read a source from one word."""
    if info.type is not SourceConfig:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="SOURCE",
        instance_from_str=lambda words: parse_source(words[0]),
        is_instance=lambda value: isinstance(value, SourceConfig),
        str_from_instance=lambda source: [describe_source(source)],
    )
