"""The card of a reward model that a run has trained: from what, how, and what it can do.

It names hub repositories and files, never where they lie on a machine.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from vlreward import __version__, markdown
from vlreward.modeling.checkpoints import RewardSettings
from vlreward.sources.config import HUB_PREFIX, SourceConfig
from vlreward.training.config import TrainConfig

_CARD = string.Template("""\
---
$header---

# $name

A reward model: given $what and an answer, one number that says how good the answer is. Rewards are
comparable between answers to one prompt. Trained with vlreward $version.

    from vlreward import RewardModel

    model = RewardModel.load("$name")  # this folder
    model.score("Prompt", ["One answer.", "Another one."], images=$images)

`vlreward export` writes it in the layouts that vLLM, TRL and other tools read.

## Training

From $base, $trained, with −log σ(r_chosen − r_rejected) in $num_stages:

$stages

$data

$num_pairs pairs were trained on, $num_multimodal of them with pictures ($num_tokens tokens in one
epoch of all), of at most $max_length tokens with $overflow. Rewards of a sample of them: mean
$mean, standard deviation $std.

## Measured

$measured
""")
_NOTHING_MEASURED = "Nothing was: the run had no validation data."


def model_card(
    config: TrainConfig,
    data: Mapping[str, Any],
    settings: RewardSettings,
    measured: Mapping[str, Any] | None,
) -> str:
    """The card as Markdown; `data` as a task describes it, `measured` as a validation's event."""
    sees = data["num_multimodal_pairs"] > 0
    return _CARD.substitute(
        header=_header(config),
        name=PurePath(config.output).name,
        what="a prompt with pictures or without" if sees else "a prompt",
        images='["picture.png"]' if sees else "[]",
        version=__version__,
        base=_base_name(config),
        trained=_what_is_trained(config),
        num_stages=f"{len(config.stages)} stage{'s' * (len(config.stages) > 1)}",
        stages=_stages(config),
        data=_sources(config.data) + _weights(config.weights),
        num_pairs=f"{data['num_train_pairs']:,}",
        num_multimodal=f"{data['num_multimodal_pairs']:,}",
        num_tokens=f"{data['num_train_tokens']:,}",
        max_length=f"{settings.max_length:,}",
        overflow="longer answers cut" if settings.overflow == "truncate" else "longer ones refused",
        mean=f"{settings.reward_mean:.3f}",
        std=f"{settings.reward_std:.3f}",
        measured=_NOTHING_MEASURED if measured is None else _measured(config, measured),
    )


def _header(config: TrainConfig) -> str:
    """What the hub reads."""
    fields: dict[str, Any] = {"tags": ["vlreward", "reward-model"]}
    base = config.model.path
    if base is not None and _is_hub_name(base):
        fields["base_model"] = base
    sets = [s.path.removeprefix(HUB_PREFIX) for s in config.data if s.path.startswith(HUB_PREFIX)]
    if sets:
        fields["datasets"] = sets
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in fields.items())


def _is_hub_name(path: str) -> bool:
    looks_like_one = path.count("/") == 1 and not path.startswith((".", "/", "~"))
    return looks_like_one and not Path(path).exists()


def _base_name(config: TrainConfig) -> str:
    path = config.model.path
    if path is None:
        return "random weights"
    name = path if _is_hub_name(path) else PurePath(path).name
    return f"{name} ({config.model.revision})" if config.model.revision else name


def _what_is_trained(config: TrainConfig) -> str:
    model = config.model
    frozen = [
        name
        for name, is_frozen in (
            ("vision encoder", model.freeze_vision),
            ("projector", model.freeze_projector),
            ("language model", model.freeze_language),
        )
        if is_frozen
    ]
    said = f"{' and '.join(frozen)} frozen" if frozen else "nothing frozen"
    return f"{said}, adapters of rank {model.lora_rank} merged" if model.lora_rank else said


def _stages(config: TrainConfig) -> str:
    rows = [
        (one.name, one.select, one.epochs, one.batch_size, f"{one.learning_rate:g}")
        for one in config.stages
    ]
    return markdown.table(("stage", "pairs", "epochs", "pairs a step", "learning rate"), rows)


def _sources(sources: Sequence[SourceConfig]) -> str:
    rows = [
        (
            _source_name(one),
            one.split or "-",
            one.revision or "-",
            "all" if one.limit is None else f"{one.limit:,}",
        )
        for one in sources
    ]
    return markdown.table(("data", "split", "revision", "rows"), rows)


def _weights(weights: Mapping[str, float]) -> str:
    """How often an epoch uses which source, where that is not once."""
    if not weights:
        return ""
    said = ", ".join(f"{name} {weight:g} times" for name, weight in weights.items())
    return f"\n\nAn epoch uses the pairs of {markdown.escape(said)}, all others once."


def _source_name(source: SourceConfig) -> str:
    if source.path.startswith(HUB_PREFIX):
        return source.path.removeprefix(HUB_PREFIX)
    return source.name or PurePath(source.path).name


def _measured(config: TrainConfig, measured: Mapping[str, Any]) -> str:
    """Accuracy by task on the validation pairs."""
    results = [("all", measured["overall"]), *measured["tasks"].items()]
    rows = []
    for task, found in results:
        low, high = found["interval"]
        share = f"{found['accuracy']:.3f} [{low:.3f}, {high:.3f}]"
        rows.append((task, found["num_pairs"], share, f"{found['mean_margin']:.3f}"))
    header = ("task", "pairs", "ordered rightly (95 %)", "mean margin")
    names = ", ".join(_source_name(one) for one in config.validation)
    return f"Pairs of {names}, none of them trained on:\n\n{markdown.table(header, rows)}"
