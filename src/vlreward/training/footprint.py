"""What a training run takes, told beforehand from a model's configuration: memory and operations.

No weight is loaded: torch's fake tensors run one row of the step, forward and backward, in a second
or two, and say what it keeps for the backward pass and how many operations it makes. The frozen
vision encoder is counted by formula, since its passes depend on the pictures' contents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from vlreward.collation.packing import Interval, PackedBatch, TreeInterval
from vlreward.errors import ConfigError
from vlreward.modeling import backbones
from vlreward.modeling.config import ModelConfig
from vlreward.modeling.heads import LinearHead
from vlreward.modeling.lora import linear_layers
from vlreward.modeling.network import RewardNetwork
from vlreward.training.objectives import PairwiseLoss

_MOMENTS = 2
_FLOAT32 = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """A step's pairs, and how the run is laid out."""

    batch_size: int
    """Pairs a step, each with a prompt of its own."""
    prompt_tokens: int
    """Of a prompt's text."""
    picture_tokens: int
    """Of a prompt's pictures; 0 for texts."""
    answer_tokens: int
    token_budget: int
    """Tokens of a packed row."""
    num_processes: int = 1
    encoded_ahead: bool = False
    """Whether pictures are encoded before the first step."""

    @property
    def pair_tokens(self) -> int:
        """Of a prompt and its two answers."""
        return self.prompt_tokens + self.picture_tokens + 2 * self.answer_tokens

    @property
    def pairs_a_row(self) -> int:
        """As many as fit one row, and there are for a process."""
        own = math.ceil(self.batch_size / self.num_processes)
        return max(1, min(own, self.token_budget // self.pair_tokens))

    @property
    def rows_a_step(self) -> int:
        """That one process reads, one after the other."""
        return math.ceil(self.batch_size / self.num_processes / self.pairs_a_row)


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """What one step takes: of memory in bytes for each process, by what it is for."""

    parameters: dict[str, int]
    """By part: vision, projector, language, embeddings, head, adapters."""
    num_trained: int
    memory: dict[str, float]
    operations: float
    """Of the whole step, over all processes."""
    checkpoint_bytes: float


def footprint(config: PreTrainedConfig, model: ModelConfig, work: Workload) -> Footprint:
    """Raises ConfigError if the backbone is neither a Qwen with eyes nor a text decoder, or cannot
    be packed.
    """
    if backbones.is_vision_language(config) and config.model_type not in backbones.QWEN_TYPES:
        raise ConfigError(
            "footprint-unknown",
            value=config.model_type,
            place="config.json: model_type",
            expected=f"a text decoder or one of {', '.join(backbones.QWEN_TYPES)}",
            mend="`vlreward train … --dry-run` measures the longest pairs of each stage instead.",
        )
    backbones.is_packed(config, "packed")
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = _build(config, model)
        kept, operations = _run_row(network, work, recomputes=model.gradient_checkpointing)
    vision = _vision_operations(config, network, work)
    memory = _weights_memory(network, work)
    memory["kept for the backward pass"] = _kept(kept, config, network, model, work)
    memory["vision encoder at work"] = _vision_memory(config, network, work)
    trained = [p for p in network.parameters() if p.requires_grad]
    num_rows = work.batch_size / work.pairs_a_row
    return Footprint(
        parameters=_count(network),
        num_trained=_numel(trained),
        memory=memory,
        operations=num_rows * operations + work.batch_size * vision,
        checkpoint_bytes=_bytes(network.parameters() if not model.lora_rank else trained)
        + _bytes_of_state(trained),
    )


def _build(config: PreTrainedConfig, model: ModelConfig) -> RewardNetwork:
    dtype = getattr(torch, model.dtype)
    backbone = AutoModel.from_config(config, dtype=dtype)
    backbones.freeze(
        backbone,
        vision=model.freeze_vision,
        projector=model.freeze_projector,
        language=model.freeze_language,
    )
    if model.lora_rank:
        _adapt(backbone, rank=model.lora_rank)
    backbones.use_tree_attention(backbone)
    network = RewardNetwork(backbone, LinearHead(config.get_text_config().hidden_size))
    network.train()
    return network


class _Adapted(nn.Module):
    """A frozen linear layer with an adapter, which peft cannot make of fake tensors."""

    def __init__(self, base_layer: nn.Linear, *, rank: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.lora_A = nn.Linear(base_layer.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base_layer.out_features, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """The layer's outputs and the adapter's."""
        added = self.lora_B(self.lora_A(states.float()))
        return self.base_layer(states) + added.to(states.dtype)


def _adapt(backbone: PreTrainedModel, *, rank: int) -> None:
    for name, parameter in backbone.named_parameters():
        if backbones.part_of(name) == "language":
            parameter.requires_grad_(False)
    for name in linear_layers(backbone):
        backbone.set_submodule(name, _Adapted(backbone.get_submodule(name), rank=rank))


def _run_row(network: RewardNetwork, work: Workload, *, recomputes: bool) -> tuple[float, float]:
    """Bytes kept for the backward pass of one row, and operations of both passes.

    A pass that recomputes its layers keeps as much here and makes the forward pass twice.
    """
    batch = _row(network, work)
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, Any] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        rewards_R = network(batch)
        loss_P = PairwiseLoss()(rewards_R[::2], rewards_R[1::2], torch.zeros(len(rewards_R) // 2))
        num_bytes = sum(storage.nbytes() for storage in kept.values())
        forward = float(counter.get_total_flops())
        loss_P.sum().backward()
    again = forward if recomputes else 0.0
    return num_bytes, float(counter.get_total_flops()) + again


def _row(network: RewardNetwork, work: Workload) -> PackedBatch:
    """A row of pairs as long as those of the work, with texts in the place of pictures."""
    trees, at = [], 0
    for _ in range(work.pairs_a_row):
        ends = [at + work.prompt_tokens + work.picture_tokens]
        ends += [ends[0] + work.answer_tokens, ends[0] + 2 * work.answer_tokens]
        prefix, *branches = map(Interval, [at, *ends], ends)
        trees.append(TreeInterval(prefix, tuple(branches)))
        at = ends[-1]
    has_axes = backbones.is_vision_language(network.backbone.config)
    return PackedBatch(
        input_ids=torch.zeros(1, at, dtype=torch.long),
        position_ids=torch.zeros(3, 1, at, dtype=torch.long) if has_axes else torch.zeros(1, at),
        structure=tuple(trees),
        score_positions=torch.tensor([b.end - 1 for tree in trees for b in tree.branches]),
    )


def _weights_memory(network: RewardNetwork, work: Workload) -> dict[str, float]:
    """Weights, gradients and the optimizer's numbers, sharded over the processes."""
    trained = [p for p in network.parameters() if p.requires_grad]
    share = 1 / work.num_processes
    memory = {
        "weights": share * _bytes(network.parameters()),
        "gradients": share * _bytes(trained),
        "optimizer": share * _bytes_of_state(trained),
    }
    if work.num_processes > 1:
        memory["gathered from other processes"] = _gathered_memory(network)
    return memory


def _bytes_of_state(trained: list[nn.Parameter]) -> float:
    """Both moments, and masters of what is not float32 itself."""
    masters = _numel(p for p in trained if p.dtype != torch.float32)
    return float(_FLOAT32 * (_MOMENTS * _numel(trained) + masters))


def _gathered_memory(network: RewardNetwork) -> float:
    """What belongs to no block, the two largest blocks, and their gradients before they are shared.

    Two, since the next one is gathered while one computes.
    """
    backbone = network.backbone
    blocks = [*backbone.get_decoder().layers]
    blocks += backbone.visual.blocks if hasattr(backbone, "visual") else []
    in_blocks = {parameter for block in blocks for parameter in block.parameters()}
    root = [p for p in backbone.parameters() if p not in in_blocks]
    largest = max((list(block.parameters()) for block in blocks), key=_bytes)

    def with_gradients(parameters: list[nn.Parameter], copies: int) -> float:
        trained = [p for p in parameters if p.requires_grad]
        return copies * _bytes(parameters) + _bytes(trained) + _FLOAT32 * _numel(trained)

    return with_gradients(root, 1) + with_gradients(largest, 2)


def _kept(
    of_row: float,
    config: PreTrainedConfig,
    network: RewardNetwork,
    model: ModelConfig,
    work: Workload,
) -> float:
    """With checkpointing, each layer's input and all of one layer."""
    if not model.gradient_checkpointing:
        return of_row
    text = config.get_text_config()
    inputs = work.pairs_a_row * work.pair_tokens * text.hidden_size
    size = next(network.backbone.parameters()).element_size()
    return float(text.num_hidden_layers * inputs * size + of_row / text.num_hidden_layers)


def _vision_operations(config: PreTrainedConfig, network: RewardNetwork, work: Workload) -> float:
    """Of one prompt's pictures: the encoder forward, the projector both ways."""
    if not work.picture_tokens or not hasattr(network.backbone, "visual"):
        return 0.0
    counts = _count(network)
    vision = config.vision_config
    num_patches = work.picture_tokens * vision.spatial_merge_size**2
    projector = 6.0 * counts["projector"] * work.picture_tokens
    if work.encoded_ahead:
        return projector
    width = getattr(vision, "embed_dim", None) or vision.hidden_size
    whole = getattr(vision, "fullatt_block_indexes", None)
    num_whole = vision.depth if whole is None else len(whole)
    window = getattr(vision, "window_size", 0) // vision.patch_size
    seen = num_whole * num_patches + (vision.depth - num_whole) * window**2
    return float(projector + 2 * num_patches * (counts["vision"] + 2 * width * seen))


def _vision_memory(config: PreTrainedConfig, network: RewardNetwork, work: Workload) -> float:
    """The widest states of a frozen block for a row's pictures, which nothing keeps."""
    if not work.picture_tokens or work.encoded_ahead or not hasattr(network.backbone, "visual"):
        return 0.0
    vision = config.vision_config
    num_patches = work.pairs_a_row * work.picture_tokens * vision.spatial_merge_size**2
    width = getattr(vision, "intermediate_size", None) or 4 * vision.embed_dim
    size = next(network.backbone.parameters()).element_size()
    return float(3 * num_patches * width * size)


def _count(network: RewardNetwork) -> dict[str, int]:
    """Parameters by part, adapters and embeddings apart."""
    counts: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        if name.startswith("head."):
            part = "head"
        elif ".lora_" in name:
            part = "adapters"
        elif "embed_tokens" in name:
            part = "embeddings"
        else:
            part = backbones.part_of(name.removeprefix("backbone."))
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def _numel(parameters: Any) -> int:
    return int(sum(parameter.numel() for parameter in parameters))


def _bytes(parameters: Any) -> float:
    return float(sum(parameter.numel() * parameter.element_size() for parameter in parameters))
