"""What a run trains on and with: data read and checked, the network built and frozen as told."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch

from vlreward.collation.text import load_tokenizer
from vlreward.durable import write_text_atomically
from vlreward.errors import ConfigError, DataError, VlrewardError
from vlreward.extras import import_extra
from vlreward.modeling import backbones
from vlreward.modeling.checkpoints import (
    RewardCheckpoint,
    load_checkpoint,
    refuse_without_head,
)
from vlreward.modeling.config import ModelConfig
from vlreward.modeling.encoders import encoder_for
from vlreward.modeling.folders import find_model_folder
from vlreward.modeling.lora import add_adapters
from vlreward.modeling.network import set_gradient_checkpointing
from vlreward.modeling.scratch import build_scratch
from vlreward.modeling.self_check import check_packing
from vlreward.pictures import PictureStore
from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import find_source, read_preferences
from vlreward.training.board import find_trackers
from vlreward.training.comparisons import Truncation, UsablePairs, describe_place, find_usable
from vlreward.training.config import StageConfig, TrainConfig
from vlreward.training.shortcuts import blind
from vlreward.world.tokenizer import TOKENIZER_FOLDER


class RunData(NamedTuple):
    """The pairs of a run, and every row that cannot be used with the reason.

    `sha256` is that of all pairs in their order.
    """

    train: UsablePairs
    validation: UsablePairs
    sha256: str

    @property
    def refused(self) -> list[VlrewardError]:
        """Why rows were refused, training rows first."""
        return [*self.train.refused, *self.validation.refused]

    @property
    def truncated(self) -> list[Truncation]:
        """Pairs that were cut, training pairs first."""
        return [*self.train.truncated, *self.validation.truncated]


def find_means(config: TrainConfig) -> None:
    """Looks for all that a run needs, before anything slow or lasting is done.

    Raises DataError if local data is not there, CheckpointError if a proxy is not, or judges
    nothing, MissingExtraError if a package is not installed.
    """
    find_trackers(config.trackers)
    if config.model.lora_rank:
        import_extra("peft", extra="lora")
    for source in (*config.data, *config.validation):
        find_source(source)
    if config.objective.words_alone is not None:
        refuse_without_head(find_model_folder(config.objective.words_alone))


def build_model(config: TrainConfig, *, device: torch.device) -> RewardModel:
    """The network to train, on its device, frozen as configured, its packing checked."""
    checkpoint = _build_checkpoint(config.model)
    network = checkpoint.network.to(device)
    backbones.freeze(
        network.backbone,
        vision=config.model.freeze_vision,
        projector=config.model.freeze_projector,
        language=config.model.freeze_language,
    )
    if config.model.lora_rank:
        add_adapters(network.backbone, config.model)
    packed = backbones.is_packed(checkpoint.config, config.model.layout)
    encoder = encoder_for(checkpoint, config.collation)
    if packed:
        backbones.use_tree_attention(network.backbone, kernel=config.model.attention)
        check_packing(network, encoder)
    if config.model.gradient_checkpointing:
        set_gradient_checkpointing(network)
    return RewardModel(
        checkpoint, encoder, packed=packed, token_budget=config.collation.token_budget
    )


def refuse_flex_without_gpu(config: ModelConfig, *, device: torch.device) -> None:
    """Raises ConfigError where FlexAttention is to train on anything else."""
    if config.attention == "flex" and device.type != "cuda":
        raise ConfigError(
            "attention-needs-gpu",
            value=f"flex on {device.type}",
            place="model.attention",
            expected="a CUDA device, as FlexAttention has no backward pass elsewhere",
            mend="Leave it at segments.",
        )


def load_finished(folder: Path, *, config: TrainConfig) -> RewardModel:
    """The model that a run wrote to the folder."""
    return RewardModel.load(
        folder,
        dtype=config.model.dtype,
        collation=config.collation,
        layout=config.model.layout,
    )


def read_data(
    config: TrainConfig, model: RewardModel, *, folder: Path, advance: Callable[[], None]
) -> RunData:
    """Reads and checks all pairs; writes refusals and truncations to `rows.jsonl` in the folder.

    A validation pair that is trained on too is refused. Raises DataError if more than
    `max_refused_share` of the training rows are refused or of the validation pairs trained on, or
    no pair is left to train on, to validate on where validation is wanted, or for a stage.
    """
    store = PictureStore(folder / "pictures")

    def read(sources: Sequence[SourceConfig]) -> UsablePairs:
        read_in = chain.from_iterable(read_preferences(source, store=store) for source in sources)
        rows = (_seen(row, is_blind=config.blind) for row in read_in)
        return find_usable(rows, model.encoder, advance=advance)

    train = read(config.data)
    validation = _without_trained(read(config.validation), train, share=config.max_refused_share)
    ids = "".join(pair.id for pair in (*train.pairs, *validation.pairs))
    digest = hashlib.sha256(ids.encode()).hexdigest()
    data = RunData(train=train, validation=validation, sha256=digest)
    _write_report(folder, data)
    _refuse_unless_enough(data.train, share=config.max_refused_share, folder=folder)
    if config.validation and not data.validation.pairs:
        raise _all_refused(data.validation.refused, folder=folder)
    _refuse_unknown_weights(config.weights, data.train.pairs)
    for stage in config.stages:
        select_pairs(data.train.pairs, stage, weights=config.weights)
    return data


def _seen(row: PreferencePair | DataError, *, is_blind: bool) -> PreferencePair | DataError:
    return blind(row) if is_blind and not isinstance(row, DataError) else row


def select_pairs(
    pairs: Sequence[PreferencePair], stage: StageConfig, *, weights: Mapping[str, float]
) -> list[PreferencePair]:
    """The pairs a stage trains on, each as often as its source's weight says.

    Of a weight's fraction, that share of the source's pairs is used once more, which ones follows
    from their ids. Raises DataError if there are none.
    """
    selected = [
        pair
        for pair in pairs
        if is_selected(pair, stage)
        for _ in range(_num_uses(pair, weights.get(pair.origin.source, 1.0)))
    ]
    if not selected:
        raise DataError(
            "stage-without-pairs",
            value=f"no pair of {len(pairs)} is {stage.select}",
            place=f"stage {stage.name}",
            expected="at least one pair to train on",
            mend="Add such data, or leave the stage out of `stages`.",
        )
    return selected


def is_selected(pair: PreferencePair, stage: StageConfig) -> bool:
    """Whether a stage trains on the pair."""
    return stage.select == "all" or pair.has_pictures == (stage.select == "multimodal")


def _num_uses(pair: PreferencePair, weight: float) -> int:
    """How often an epoch uses a pair of a source with this weight."""
    drawn = int(hashlib.sha256(f"use {pair.id}".encode()).hexdigest()[:8], 16) / 16**8
    return math.floor(weight) + (drawn < weight % 1)


def _refuse_unknown_weights(weights: Mapping[str, float], pairs: Sequence[PreferencePair]) -> None:
    """Raises ConfigError for a weight of a source that no pair has."""
    known = sorted({pair.origin.source for pair in pairs})
    for name in weights:
        if name not in known:
            raise ConfigError(
                "weight-of-no-source",
                value=name,
                place="weights",
                expected=f"a source of the training pairs: {', '.join(known)[:300]}",
                mend="Correct the name; a source is called what its rows or its `name` say.",
            )


def _build_checkpoint(model: ModelConfig) -> RewardCheckpoint:
    if (model.path is None) == (model.scratch is None):
        raise ConfigError(
            "model-source",
            value="both model.path and model.scratch" if model.path else "neither",
            place="model",
            expected="one of model.path and model.scratch",
            mend="Set path to none to train from scratch, or leave scratch out.",
        )
    if model.scratch is not None:
        folder = Path(model.scratch.tokenizer or TOKENIZER_FOLDER)
        return build_scratch(
            model.scratch,
            load_tokenizer(folder),
            text_folder=folder,
            head=model.head,
            dtype=getattr(torch, model.dtype),
            seed=model.initial_seed,
        )
    assert model.path is not None
    checkpoint = load_checkpoint(
        find_model_folder(model.path, revision=model.revision),
        dtype=getattr(torch, model.dtype),
        new_head=model.head,
        seed=model.initial_seed,
    )
    if checkpoint.settings.head != model.head:
        raise ConfigError(
            "head-differs",
            value=model.head,
            place="model.head",
            expected=f"{checkpoint.settings.head}, the head of the reward model at {model.path}",
            mend=f"Set model.head to {checkpoint.settings.head}, or start from a base model.",
        )
    return checkpoint


def _all_refused(refused: Sequence[VlrewardError], *, folder: Path) -> DataError:
    return DataError(
        "validation-empty",
        value=f"all {len(refused)} validation rows refused",
        place=str(folder / "rows.jsonl"),
        expected="at least one pair to validate on",
        mend=f"Mend the rows listed there. The first one: {refused[0]}",
    )


def _refuse_unless_enough(found: UsablePairs, *, share: float, folder: Path) -> None:
    num_refused = len(found.refused)
    num_rows = len(found.pairs) + num_refused
    if not found.pairs or num_refused > share * num_rows:
        raise DataError(
            "too-many-refused",
            value=f"{num_refused} of {num_rows} rows refused",
            place=str(folder / "rows.jsonl"),
            expected=f"at most {share:.0%} refused, and some left",
            mend="Mend the rows listed there, or raise max_refused_share. The first one: "
            f"{found.refused[0]}",
        )


def _without_trained(validation: UsablePairs, train: UsablePairs, *, share: float) -> UsablePairs:
    """Refuses the validation pairs that are trained on too, as they are or with sides swapped.

    Raises DataError if they are more than this share of all.
    """
    trained = {one.id for pair in train.pairs for one in (pair, pair.swapped())}
    shared = [pair for pair in validation.pairs if pair.id in trained]
    refusals = [
        DataError(
            "validation-in-training",
            value=f"one of {len(shared)} validation pairs, of {len(validation.pairs)}",
            place=describe_place(pair),
            expected="validation pairs that are not trained on",
            mend="Name the split of each file (#train, #val), or drop these rows from one side.",
        )
        for pair in shared
    ]
    if len(shared) > share * len(validation.pairs):
        raise refusals[0]
    return validation._replace(
        pairs=[pair for pair in validation.pairs if pair.id not in trained],
        refused=[*validation.refused, *refusals],
    )


def _write_report(folder: Path, data: RunData) -> None:
    lines: list[dict[str, object]] = [
        {"row": error.place, "what": "refused", "code": error.code, "why": str(error)}
        for error in data.refused
    ]
    lines += [
        {"row": place, "what": "truncated", "tokens_cut": num_tokens}
        for place, num_tokens in data.truncated
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_text_atomically(folder / "rows.jsonl", text)
