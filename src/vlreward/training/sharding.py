"""A network spread over processes by FSDP2: each holds a part of every weight.

Each decoder layer, each block of the vision encoder and the head is gathered when it runs and let
go of again; what is left, such as the embeddings and the projector, is gathered for the whole pass.
Gradients are summed in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from vlreward.modeling.network import RewardNetwork


def shard(network: RewardNetwork, mesh: DeviceMesh) -> None:
    """Spreads the network over the mesh's processes, layer by layer, on the mesh's devices."""
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    backbone = network.backbone
    blocks = list(backbone.get_decoder().layers)
    if hasattr(backbone, "visual"):
        blocks += backbone.visual.blocks
    for module in (*blocks, network.head, network):
        fully_shard(module, mesh=mesh, mp_policy=policy)


def is_sharded(network: nn.Module) -> bool:
    """Whether the network's weights are spread over processes."""
    return any(isinstance(parameter, DTensor) for parameter in network.parameters())


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be spread over processes; all of them have to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def weights_for_first(network: nn.Module, *, is_first: bool) -> dict[str, Tensor]:
    """All weights, whole and on the host, in the first process; nothing in the others."""
    weights = {}
    for name, tensor in network.state_dict().items():
        gathered = whole(tensor)
        if is_first:
            weights[name] = gathered.cpu()
    return weights


def write_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes each process's parts as a safetensors file of its own in the folder."""
    dcp.save(
        dict(tensors),
        storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True),
    )


def read_tensors(folder: Path, *, like: nn.Module, without: Collection[str]) -> dict[str, Tensor]:
    """All tensors of the folder's safetensors files, but those of the files named.

    A weight of the network `like`, and `weight/…` of its shape, comes spread over the processes as
    the weight is; all else comes whole. It does not matter how many processes wrote them.
    """
    reader = HuggingFaceStorageReader(str(folder))
    metadata = reader.read_metadata()
    left_out = {
        index.fqn
        for index, stored in metadata.storage_data.items()
        if Path(stored.relative_path).name in without
    }
    weights = dict(like.named_parameters())
    tensors = {}
    for name, found in metadata.state_dict_metadata.items():
        if name in left_out:
            continue
        weight = weights.get(name.partition("/")[0])
        if isinstance(weight, DTensor) and weight.shape == found.size:
            tensors[name] = torch.empty_like(weight.detach(), dtype=found.properties.dtype)
        else:
            tensors[name] = torch.empty(found.size, dtype=found.properties.dtype)
    with warnings.catch_warnings():
        # Of one process, which is what is meant where nothing is sharded.
        warnings.filterwarnings("ignore", message="torch.distributed is")
        dcp.load(tensors, storage_reader=reader, no_dist=not is_sharded(like))
    return tensors
