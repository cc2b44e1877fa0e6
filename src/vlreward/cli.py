"""The command line: a verb, then flags. A workflow is imported only when its verb is called."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from vlreward import __version__
from vlreward.arguments import (
    DemoArguments,
    DoctorArguments,
    ExportArguments,
    MiniatureBaseArguments,
    MiniatureCurateArguments,
    MiniatureRewardArguments,
    ScoreArguments,
    ShowArguments,
)
from vlreward.command_lines import (
    read_curate_config,
    read_eval_arguments,
    read_evaluate_config,
    read_train_arguments,
    write_config,
)
from vlreward.errors import ConfigError, DataError, VlrewardError
from vlreward.sources.spec import parse_source

_HELP = """\
vlreward: build, judge and use reward models for vision-language models.

  vlreward demo                      train and try a small reward model in minutes
  vlreward train RECIPE --data …     train one; RECIPE is skywork-vl or scratch
  vlreward train --from config.yaml  train as a file says; more flags change it
  vlreward score FILE --model …      give every row of a file its rewards
  vlreward export MODEL FOLDER       write a model in another layout
  vlreward curate RECIPE --data …    merge preference sets and curate them; RECIPE is first-stage
                                     or three-stages
  vlreward eval --benchmark … --model … --output …
                                     evaluate reward models and judges; --compare RUN RUN compares
  vlreward doctor MODEL              say what memory and time training takes, before it is begun
  vlreward show ID RUN               say why a pair is in a curated set, or is not
  vlreward miniature base            train a small VLM from scratch on the miniature world
  vlreward miniature reward          train a reward model from it
  vlreward miniature curate          rehearse all stages of curation, offline

`vlreward VERB --help` lists a verb's flags. Exit codes: 0 done, 2 wrong argument or
configuration, 3 data refused, 4 model or checkpoint refused, 5 missing extra, 6 numbers not
finite, 7 endpoint refused or without reply, 75 stopped with its state saved, by a signal or to
wait for annotators (run it again to resume), 130 interrupted.
"""

_MINIATURE_HELP = """\
vlreward miniature base --output runs/miniature-base
    trains a small Qwen2.5-VL from scratch on the miniature world
vlreward miniature reward --output runs/miniature
    trains a reward model from it, or from another base: --base FOLDER
vlreward miniature curate --output runs/miniature-curation
    curates a set with planted faults in all three stages, the models played by stand-ins

`vlreward miniature base --help` and so on list the flags. Both models come with the package, as
miniature-base and miniature.
"""


def main() -> None:
    """The console script: runs a verb, prints a refusal as one paragraph, exits with its code."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        code = run(sys.argv[1:])
    except VlrewardError as error:
        print(f"vlreward: {error}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:  # who read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        print(f"vlreward: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    if "daft" in sys.modules:
        # Its threads may still compute after a signal, even one that Daft itself took, and crash
        # where Python ends before them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs a command line without the program's name; returns the exit code or raises."""
    verb, *rest = arguments or ["--help"]
    if verb in ("-h", "--help"):
        print(_HELP, end="")
        return 0
    if verb == "--version":
        print(__version__)
        return 0
    if verb not in _VERBS:
        raise ConfigError(
            "verb-unknown",
            value=verb,
            place="command line",
            expected=f"one of {', '.join(_VERBS)}",
            mend="`vlreward --help` says what each does.",
        )
    return _VERBS[verb](rest)


def _demo(arguments: list[str]) -> int:
    given = tyro.cli(DemoArguments, args=arguments, prog="vlreward demo")
    from vlreward.workflows.demo import run_demo

    run_demo(given.output, command=_command("demo", arguments))
    return 0


def _train(arguments: list[str]) -> int:
    given = read_train_arguments(arguments)
    config = given.run
    if given.dry_run:
        from vlreward.workflows.dry_run import rehearse_and_say

        return rehearse_and_say(config, num_overfit_steps=given.overfit_steps)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    from vlreward.training.run import train
    from vlreward.workflows.samples import write_samples

    model = train(config, command=_command("train", arguments))
    output = Path(config.output)
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun started
        samples = write_samples(config, model)
        more = "" if samples is None else f", samples with their rewards in {samples}"
        print(f"The model lies in {output / 'model'}, its curves in {output / 'curves.png'}{more}.")
    return 0


def _doctor(arguments: list[str]) -> int:
    given = tyro.cli(DoctorArguments, args=arguments, prog="vlreward doctor")
    from vlreward.modeling.config import ModelConfig
    from vlreward.training.footprint import Workload
    from vlreward.workflows.doctor import Hardware, describe, examine

    found = examine(
        ModelConfig(
            path=given.model,
            revision=given.revision,
            dtype=given.dtype,
            lora_rank=given.lora_rank,
            gradient_checkpointing=given.gradient_checkpointing,
        ),
        Workload(
            batch_size=given.batch_size,
            prompt_tokens=given.prompt_tokens,
            picture_tokens=given.picture_tokens,
            answer_tokens=given.answer_tokens,
            token_budget=given.token_budget,
            num_processes=given.num_devices,
            encoded_ahead=given.encoded_ahead,
        ),
        Hardware(device_gib=given.device_gib, tflops=given.tflops, utilisation=given.utilisation),
        num_pairs=given.num_pairs,
        epochs=given.epochs,
    )
    print(json.dumps(found, indent=2) if given.json else describe(found))
    return 0


def _score(arguments: list[str]) -> int:
    given = tyro.cli(ScoreArguments, args=arguments, prog="vlreward score")
    source = parse_source(given.source)
    from vlreward.workflows.score import check_places, score_file

    check_places(source, given.output)
    from vlreward.scoring import RewardModel

    model = RewardModel.load(
        given.model,
        revision=given.revision,
        device=given.device,
        dtype=given.dtype,
        layout=given.layout,
    )
    found = score_file(model, source, output=given.output)
    print(f"{found.num_scored} rows scored, {found.num_refused} refused: {given.output}")
    return DataError.exit_code if found.num_refused else 0


def _export(arguments: list[str]) -> int:
    given = tyro.cli(ExportArguments, args=arguments, prog="vlreward export")
    from vlreward.workflows.export import export_model

    export_model(
        given.model,
        given.output,
        revision=given.revision,
        layout=given.layout,
        dtype=given.dtype,
    )
    print(f"Written to {given.output} as {given.layout}.")
    return 0


def _curate(arguments: list[str]) -> int:
    given, config = read_curate_config(arguments)
    if given.write_config is not None:
        write_config(config, given.write_config)
        print(f"Written: vlreward curate --from {given.write_config} runs it.")
        return 0
    from vlreward.curation.frames import use_cluster
    from vlreward.workflows.curate import curate_sets, plan_calls
    from vlreward.workflows.plan import told

    if given.cluster is not None:
        use_cluster(given.cluster)
    command = _command("curate", arguments)
    if given.dry_run:
        plan = plan_calls(config, command=command, max_dollars=given.max_dollars)
        print("\n".join(told(plan, max_dollars=given.max_dollars)))
        return ConfigError.exit_code if plan.is_short(given.max_dollars) else 0
    folder = curate_sets(
        config,
        command=command,
        environment=os.environ,
        max_dollars=given.max_dollars,
        drop_unanswered=given.drop_unanswered,
    )
    print(f"The set lies in {folder}; its README.md says what is in it and what was dropped.")
    return 0


def _eval(arguments: list[str]) -> int:
    given = read_eval_arguments(arguments)
    if given.compare:
        from vlreward.workflows.compare import compare_runs

        compare_runs(given.compare, output=given.output, seed=given.seed)
        return 0
    config = read_evaluate_config(given)
    if given.write_config is not None:
        write_config(config, given.write_config)
        print(f"Written: vlreward eval --from {given.write_config} runs it.")
        return 0
    from vlreward.workflows.evaluate import evaluate, plan_evaluation, plan_of, show
    from vlreward.workflows.plan import summed_up

    if given.dry_run:
        foretold = plan_evaluation(config, environment=os.environ, max_dollars=given.max_dollars)
        plan = plan_of(foretold, config)
        print("\n".join(map(str, foretold)))
        if plan.steps:
            print("\n".join(summed_up(plan, max_dollars=given.max_dollars)))
        return ConfigError.exit_code if plan.is_short(given.max_dollars) else 0
    found = evaluate(
        config,
        command=_command("eval", arguments),
        environment=os.environ,
        max_dollars=given.max_dollars,
    )
    show(found)
    return DataError.exit_code if any(found.shortfalls()) else 0


def _show(arguments: list[str]) -> int:
    given = tyro.cli(ShowArguments, args=arguments, prog="vlreward show")
    from vlreward.workflows.show import show_pair

    print(show_pair(given.id, given.run))
    return 0


def _miniature(arguments: list[str]) -> int:
    kinds = {"base": _miniature_base, "reward": _miniature_reward, "curate": _miniature_curate}
    kind, *rest = arguments or [""]
    if kind in ("-h", "--help"):
        print(_MINIATURE_HELP, end="")
        return 0
    if kind not in kinds:
        raise ConfigError(
            "miniature-model-unknown",
            value=kind or "nothing",
            place="command line",
            expected=" or ".join(kinds),
            mend="`vlreward miniature --help` says what each is.",
        )
    return kinds[kind](rest)


def _miniature_base(arguments: list[str]) -> int:
    given = tyro.cli(MiniatureBaseArguments, args=arguments, prog="vlreward miniature base")
    from vlreward.workflows.miniature import make_base

    command = _command("miniature", ["base", *arguments])
    print(f"The base model lies in {make_base(given.output, seed=given.seed, command=command)}.")
    return 0


def _miniature_reward(arguments: list[str]) -> int:
    given = tyro.cli(MiniatureRewardArguments, args=arguments, prog="vlreward miniature reward")
    from vlreward.workflows.miniature import (
        THOROUGH_FAMILIES,
        THOROUGH_TEXT_FAMILIES,
        make_reward_model,
        measure,
    )

    command = _command("miniature", ["reward", *arguments])
    model = make_reward_model(
        given.output,
        base=given.base,
        num_pictures=given.num_pictures,
        num_text_pairs=given.num_text_pairs,
        batch_size=given.batch_size,
        families=THOROUGH_FAMILIES,
        text_families=THOROUGH_TEXT_FAMILIES,
        seed=given.seed,
        command=command,
    )
    measure(model, given.output, command=command)
    output = given.output
    print(f"The model lies in {output / 'model'}, its figures in {output / 'report.html'}.")
    return 0


def _miniature_curate(arguments: list[str]) -> int:
    given = tyro.cli(MiniatureCurateArguments, args=arguments, prog="vlreward miniature curate")
    from vlreward.workflows.miniature_curation import curate_miniature

    folder = curate_miniature(
        given.output,
        num_pictures=given.num_pictures,
        num_text_pairs=given.num_text_pairs,
        seed=given.seed,
        port=given.port,
        command=_command("miniature", ["curate", *arguments]),
    )
    print(f"The set lies in {folder}; its README.md says what is in it and what was dropped.")
    return 0


def _command(verb: str, arguments: Sequence[str]) -> list[str]:
    return ["vlreward", verb, *arguments]


_VERBS: dict[str, Callable[[list[str]], int]] = {
    "demo": _demo,
    "train": _train,
    "score": _score,
    "export": _export,
    "curate": _curate,
    "eval": _eval,
    "doctor": _doctor,
    "show": _show,
    "miniature": _miniature,
}
