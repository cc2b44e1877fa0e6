"""A scorer or judge in one word, for command lines.

- a row of the paper's tables: `skywork-vl-reward-7b`, `gpt-4o`; see `lineup`
- a configuration: `judge.yaml`
- a reward model: `runs/demo/model`, `Skywork/Skywork-VL-Reward-7B[@REVISION]`
- `remote:PATH`: a reward model that needs its own code
- `judge:…`, `rate:…`: a language model that compares or rates; behind it the word for an endpoint
  (`openai:gpt-4o`, `qwen@http://127.0.0.1:8000/v1`), or `local:PATH`
- `implicit:POLICY[~REFERENCE]`, `process:PATH`
- `mean:A,B`, `worst:A,B`, `mean-minus-variance:A,B`, `jury:A,B`: several of these as one
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

from vlreward.configuration import load
from vlreward.errors import ConfigError
from vlreward.evaluation.scorers.config import (
    Combination,
    EnsembleConfig,
    ImplicitConfig,
    JudgeConfig,
    ProcessConfig,
    RemoteCodeConfig,
    ScorerConfig,
    WeightsConfig,
)
from vlreward.evaluation.scorers.lineup import Table, find_row
from vlreward.generation.spec import describe_endpoint, parse_endpoint

_LOCAL = "local:"
FILE_SUFFIXES = (".yaml", ".yml", ".json")


def parse_scorer(word: str | ScorerConfig, *, table: Table | None = None) -> ScorerConfig:
    """Reads a word as the module says; a ScorerConfig stays itself.

    A row of the tables is run as for `table`, by default for the first that it is in.
    What else a scorer can say (precision, picture sizes, prompts, votes, captions) goes into a
    configuration file. Raises ConfigError.
    """
    if isinstance(word, ScorerConfig):
        return word
    row = find_row(word)
    if row is not None:
        return row.config(table=table)
    if word.endswith(FILE_SUFFIXES):
        return load(Path(word), ScorerConfig)
    kind, colon, rest = word.partition(":")
    reader = _READERS.get(kind) if colon else None
    if reader is not None and rest:
        return reader(rest)
    if reader is not None or not word or colon:
        raise ConfigError(
            "scorer-word",
            value=word,
            place="command line",
            expected=f"a model's path or hub name, a name of the paper's tables, a file of "
            f"settings, or {'|'.join(_READERS)} with a colon and more",
            mend="For instance: Skywork/Skywork-VL-Reward-7B, or judge:openai:gpt-4o",
        )
    return ScorerConfig(reward_model=_weights(word))


def describe_scorer(config: ScorerConfig) -> str:
    """What tables call it: its name, else a word like the one that `parse_scorer` reads."""
    return config.name or _describe[config.kind](config)


def _weights(word: str) -> WeightsConfig:
    path, revision = _split_revision(word)
    is_here = Path(path).expanduser().is_dir()
    return WeightsConfig(path=os.path.normpath(path) if is_here else path, revision=revision)


def _split_revision(word: str) -> tuple[str, str | None]:
    """A hub name and its revision; what lies on this machine has none."""
    path, _, revision = word.rpartition("@")
    is_hub = path.count("/") == 1 and not path.startswith((".", "/", "~"))
    return (path, revision) if is_hub and revision else (word, None)


def _remote(rest: str) -> ScorerConfig:
    path, revision = _split_revision(rest)
    return ScorerConfig(remote_code=RemoteCodeConfig(path=path, revision=revision))


def _judge(rest: str) -> ScorerConfig:
    if rest.startswith(_LOCAL):
        return ScorerConfig(judge=JudgeConfig(local=_weights(rest.removeprefix(_LOCAL))))
    return ScorerConfig(judge=JudgeConfig(endpoint=parse_endpoint(rest)))


def _rate(rest: str) -> ScorerConfig:
    if rest.startswith(_LOCAL):
        local = _weights(rest.removeprefix(_LOCAL))
        return ScorerConfig(judge=JudgeConfig(local=local, ask="rating"))
    return ScorerConfig(judge=JudgeConfig(endpoint=parse_endpoint(rest), ask="rating"))


def _implicit(rest: str) -> ScorerConfig:
    policy, _, reference = rest.partition("~")
    return ScorerConfig(
        implicit=ImplicitConfig(
            policy=_weights(policy), reference=_weights(reference) if reference else None
        )
    )


def _process(rest: str) -> ScorerConfig:
    return ScorerConfig(process=ProcessConfig(model=_weights(rest)))


def _ensemble(combine: Combination) -> Callable[[str], ScorerConfig]:
    def read(rest: str) -> ScorerConfig:
        members = tuple(parse_scorer(word) for word in rest.split(",") if word)
        return ScorerConfig(ensemble=EnsembleConfig(members=members, combine=combine))

    return read


_READERS: Mapping[str, Callable[[str], ScorerConfig]] = {
    "remote": _remote,
    "judge": _judge,
    "rate": _rate,
    "implicit": _implicit,
    "process": _process,
    **{combine: _ensemble(combine) for combine in get_args(Combination)},
    "jury": _ensemble("mean"),
}


def _word(weights: WeightsConfig | RemoteCodeConfig) -> str:
    return f"{weights.path}@{weights.revision}" if weights.revision else weights.path


def _describe_judge(config: ScorerConfig) -> str:
    judge = config.judge
    assert judge is not None
    verb = "judge" if judge.ask == "pair" else "rate"
    if judge.local is not None:
        return f"{verb}:{_LOCAL}{_word(judge.local)}"
    assert judge.endpoint is not None
    return f"{verb}:{describe_endpoint(judge.endpoint)}"


def _describe_implicit(config: ScorerConfig) -> str:
    implicit = config.implicit
    assert implicit is not None
    reference = f"~{_word(implicit.reference)}" if implicit.reference else ""
    return f"implicit:{_word(implicit.policy)}{reference}"


def _describe_ensemble(config: ScorerConfig) -> str:
    ensemble = config.ensemble
    assert ensemble is not None
    are_judges = all(one.judge is not None and one.judge.ask == "pair" for one in ensemble.members)
    verb = "jury" if are_judges else ensemble.combine
    return f"{verb}:{','.join(map(describe_scorer, ensemble.members))}"


_describe: Mapping[str, Callable[[ScorerConfig], str]] = {
    "reward_model": lambda config: _word(config.reward_model),  # type: ignore[arg-type]
    "remote_code": lambda config: f"remote:{_word(config.remote_code)}",  # type: ignore[arg-type]
    "judge": _describe_judge,
    "implicit": _describe_implicit,
    "process": lambda config: f"process:{_word(config.process.model)}",  # type: ignore[union-attr]
    "ensemble": _describe_ensemble,
}
