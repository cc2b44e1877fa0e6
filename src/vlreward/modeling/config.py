"""What a reward network is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vlreward.errors import require

Layout = Literal["auto", "packed", "padded"]
TreeKernel = Literal["segments", "flex"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScratchConfig:
    """A randomly initialised Qwen2.5-VL, for machines and data too small for a pretrained one."""

    tokenizer: str | None = None
    """Folder of a tokenizer in Qwen's format; unset means the small one in this package."""
    hidden_size: int = 256
    """Width of the language model, a multiple of twice `num_heads`."""
    num_layers: int = 4
    """Layers of the language model."""
    num_heads: int = 4
    """Attention heads of the language model."""
    num_key_value_heads: int = 2
    """Key and value heads of the language model."""
    vision_hidden_size: int = 192
    """Width of the vision encoder, a multiple of four times `vision_num_heads`."""
    vision_num_layers: int = 4
    """Layers of the vision encoder; each attends to the whole picture."""
    vision_num_heads: int = 4
    """Attention heads of the vision encoder."""
    rope_theta: float = 100.0
    """Base of the rotary positions: small, so that neighbouring patches of a small picture turn
    by different angles (at Qwen's 1,000,000 their rows and columns look alike to small heads)."""
    mrope_section: tuple[int, int, int] | None = None
    """How many frequencies of a head turn with time, row and column, the fastest ones first; they
    make half a head's width. Unset, about a quarter, three eighths and three eighths."""

    def __post_init__(self) -> None:
        for name in ("num_layers", "num_heads", "num_key_value_heads", "vision_num_layers"):
            value = getattr(self, name)
            require(value >= 1, place=f"scratch.{name}", value=value, expected="1 or more")
        divisions = (
            ("hidden_size", 2 * self.num_heads),
            ("num_heads", self.num_key_value_heads),
            ("vision_hidden_size", 4 * max(1, self.vision_num_heads)),
        )
        for name, divisor in divisions:
            value = getattr(self, name)
            holds = value >= 1 and value % divisor == 0
            place = f"scratch.{name}"
            require(holds, place=place, value=value, expected=f"a multiple of {divisor}")
        half = self.hidden_size // self.num_heads // 2
        sections = self.mrope_section
        require(
            sections is None or (min(sections) >= 1 and sum(sections) == half),
            place="scratch.mrope_section",
            value=sections,
            expected=f"three numbers that make {half}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The backbone, its head, and what of it is trained."""

    path: str | None = "Qwen/Qwen2.5-VL-7B-Instruct"
    """A model folder or hub name: a base model, or a reward model to train further. Unset with
    `scratch` set."""
    revision: str | None = None
    """Hub revision (branch, tag or commit)."""
    scratch: ScratchConfig | None = None
    """A random backbone instead of `path`."""
    head: Literal["linear", "mlp"] = "linear"
    """`linear` is the paper's; `mlp` has two layers with SiLU (arXiv 2509.16127)."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the backbone's weights; the head and the loss are float32 always."""
    freeze_vision: bool = True
    """Keep the vision encoder as it is (the paper does)."""
    freeze_projector: bool = False
    """Keep the projector between vision encoder and language model as it is."""
    freeze_language: bool = False
    """Keep the language model as it is."""
    lora_rank: int = 0
    """Train low-rank adapters of this rank on the language model's linear layers instead of their
    weights (needs vlreward[lora]); 0 trains the weights. A learning rate of 1e-4 or so suits them
    better than the default. What is exported is merged, head included; in bfloat16 that rounds what
    they learnt, and validation measures them before."""
    lora_alpha: float | None = None
    """The adapters' scale is this over the rank; unset means twice the rank."""
    lora_dropout: float = 0.0
    """Share of an adapter's inputs that is dropped in training."""
    layout: Layout = "auto"
    """`packed` shares prompts between responses, `padded` is the plain reference; `auto` packs
    where the backbone allows it and says so where not."""
    attention: TreeKernel = "segments"
    """Of packed rows: `segments` calls torch's fused attention for each prompt and each response;
    `flex` is one FlexAttention kernel for the whole row, for CUDA alone."""
    gradient_checkpointing: bool = False
    """Trade time for memory: recompute layers in the backward pass."""
    initial_seed: int = 0
    """Seed of the initial weights of the head, of adapters and of a scratch backbone."""

    def __post_init__(self) -> None:
        seed = self.initial_seed
        require(0 <= seed < 2**32, place="model.initial_seed", value=seed, expected="[0, 2**32)")
        rank, alpha, dropout = self.lora_rank, self.lora_alpha, self.lora_dropout
        require(rank >= 0, place="model.lora_rank", value=rank, expected="0 or more")
        holds = alpha is None or alpha > 0
        require(holds, place="model.lora_alpha", value=alpha, expected="above 0, or unset")
        require(0 <= dropout < 1, place="model.lora_dropout", value=dropout, expected="[0, 1)")
        for name, value in (("lora_alpha", alpha), ("lora_dropout", dropout)):
            place, expected = f"model.{name}", "none without model.lora_rank"
            require(rank > 0 or not value, place=place, value=value, expected=expected)
        require(
            not (rank and self.freeze_language),
            place="model.lora_rank",
            value=rank,
            expected="0 with model.freeze_language: adapters change the language model",
        )
