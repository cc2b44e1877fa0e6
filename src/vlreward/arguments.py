"""What the command line takes, verb by verb; docstrings are its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vlreward.errors import require
from vlreward.modeling.config import Layout
from vlreward.sources.config import ExportForm, SourceConfig


@dataclass(frozen=True, kw_only=True)
class DemoArguments:
    """Train a small reward model on the miniature world and show what it learnt."""

    output: Path = Path("runs/demo")
    """The run folder."""


@dataclass(frozen=True, kw_only=True)
class ScoreArguments:
    """Give every row of a file its rewards."""

    source: tyro.conf.Positional[str]
    """Rows of prompt and responses, or preference pairs: path[#split], or
    hub:owner/name[@revision][#split]."""
    model: str
    """A reward model's folder or hub name, or `miniature`, which comes with the package."""
    output: Path
    """The JSONL file to write, one line a row."""
    revision: str | None = None
    """Hub revision of the model."""
    device: str | None = None
    """Where to compute; the GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the backbone; auto is float32 on the CPU, bfloat16 on a GPU."""
    layout: Layout = "auto"
    """`packed` shares prompts between responses, `padded` is the plain reference; `auto` packs
    where the backbone allows it."""


@dataclass(frozen=True, kw_only=True)
class DoctorArguments:
    """Say whether a training run fits the hardware, and how long it takes."""

    model: tyro.conf.Positional[str] = "Qwen/Qwen2.5-VL-7B-Instruct"
    """A model folder or hub name, of which the configuration is enough."""
    revision: str | None = None
    """Hub revision of the model."""
    num_pairs: int = 190_000
    """Pairs to train on (the paper's)."""
    epochs: int = 2
    """Times each pair is used."""
    batch_size: int = 64
    """Pairs a step."""
    prompt_tokens: int = 150
    """Of a prompt's text."""
    picture_tokens: int = 1280
    """Of a prompt's pictures: one for each 28 by 28 pixels with Qwen2.5-VL."""
    answer_tokens: int = 250
    """Of an answer."""
    token_budget: int = 16384
    """Most tokens of a packed row."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the backbone's weights."""
    lora_rank: int = 0
    """Rank of adapters; 0 trains the weights."""
    gradient_checkpointing: bool = False
    """Recompute layers in the backward pass."""
    encoded_ahead: bool = False
    """Pictures go through the encoder before the first step (`pictures.keep`)."""
    num_devices: int = 1
    """Devices, with a process each."""
    device_gib: float = 80.0
    """Memory of a device in GiB."""
    tflops: float = 989.0
    """Operations a second of a device, in 10¹²: those of an H100 in bfloat16, as published."""
    utilisation: float = 0.4
    """Which share of them a run gets; an assumption."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        low = {"lora_rank": 0, "picture_tokens": 0}
        for name in (
            *("num_pairs", "epochs", "batch_size", "prompt_tokens", "picture_tokens"),
            *("answer_tokens", "token_budget", "lora_rank", "num_devices"),
        ):
            value, least = getattr(self, name), low.get(name, 1)
            require(value >= least, place=name, value=value, expected=f"{least} or more")
        for name in ("device_gib", "tflops", "utilisation"):
            value = getattr(self, name)
            require(value > 0, place=name, value=value, expected="above 0")


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """Write a reward model in a layout that other tools read."""

    model: tyro.conf.Positional[str]
    """A reward model's folder or hub name, or `miniature`, which comes with the package."""
    output: tyro.conf.Positional[Path]
    """The folder to write; it must not exist."""
    revision: str | None = None
    """Hub revision of the model."""
    layout: Literal["value-head", "sequence-classification"] = "sequence-classification"
    """`value-head` for LLaMA-Factory and the Skywork recipe, `sequence-classification` for vLLM,
    ms-swift, TRL and OpenRLHF."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Precision of the backbone's weights in the files."""


@dataclass(frozen=True, kw_only=True)
class CurateArguments:
    """Merge sets of preferences and curate them. Run again, it resumes.

    Give the sources and an output folder, or --from a configuration file, such as an earlier run's
    config.yaml, where every threshold can be set. Models that are asked are given in one word:
    openai:gpt-4o, anthropic:MODEL, gemini:MODEL, local:FOLDER (which this process loads), or
    MODEL@URL#KEY, KEY being the environment variable with the key, if there is one.
    """

    recipe: tyro.conf.Positional[Literal["first-stage", "three-stages"]] = "first-stage"
    """first-stage drops what is double, alike or unsure; three-stages goes on to have weak answers
    rewritten and reasoning answers compared by people."""
    data: tuple[SourceConfig, ...] = ()
    """Preference data, each path[#split] or hub:owner/name[@revision][#split]."""
    benchmarks: tuple[SourceConfig, ...] = ()
    """Benchmarks that the set must not share prompts or pictures with."""
    exports: tuple[ExportForm, ...] = ()
    """Forms of other trainers in which the set is written too."""
    judge: str | None = None
    """The model that is asked where rows do not say how sure their label is, and what it is to
    check."""
    generator: str | None = None
    """three-stages: the model that sees pictures and writes new answers."""
    reasoner: str | None = None
    """three-stages: the model that reasons about descriptions of pictures."""
    describer: str | None = None
    """three-stages: the model that describes pictures for the reasoner; the generator where it is
    not given."""
    surrogate: str = "skywork-vl"
    """three-stages: the recipe that trains the surrogate reward model."""
    surrogate_model: str | None = None
    """three-stages: the folder or hub name that the surrogate is trained from; the recipe's own
    where it is not given."""
    max_rows: int | None = None
    """three-stages: the most rows that are left before reasoning answers are added."""
    embedder: str | None = None
    """Whose vectors say which texts are alike: hashed, or a sentence encoder's folder or name."""
    output: str | None = None
    """The run folder."""
    max_dollars: float | None = None
    """What all paid calls of the run together may cost, over all its starts."""
    drop_unanswered: bool = False
    """Go on where an endpoint gave no reply to some requests: their rows are not judged, improved
    or compared. Without it, the run stops and its next start asks them again."""
    dry_run: bool = False
    """Only say what calls would be made, what they would cost, and if --max-dollars will do."""
    write_config: Path | None = None
    """Only write what these flags say into a new file, where all else can be set, for --from."""
    cluster: str | None = None
    """A Ray cluster to compute on, which sees the same files: its address, such as auto, or local
    for one that is started here. Calls of endpoints stay in this process."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """A configuration file, instead of the other flags; --output may change its folder."""


@dataclass(frozen=True, kw_only=True)
class EvalArguments:
    """Evaluate reward models and judges on benchmarks. Run again, it resumes.

    Models are given in one word: a folder or hub name, a row of the paper's tables such as gpt-4o
    or skywork-vl-reward-7b, judge:ENDPOINT or rate:ENDPOINT (openai:gpt-4o, MODEL@URL#KEY,
    local:FOLDER), remote:PATH, implicit:POLICY~REFERENCE, process:PATH, mean:A,B, jury:A,B, or a
    file of settings such as judge.yaml.
    """

    benchmark: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """vl-rewardbench, rewardbench, multimodal-rewardbench or mm-rlhf-rewardbench, read from the
    hub, or with =SOURCE from elsewhere."""
    data: tyro.conf.UseAppendAction[tuple[tuple[SourceConfig, ...], ...]] = ()
    """Your own preference pairs, or prompts with candidates of which some are marked as right:
    each path[#split] or hub:owner/name[@revision][#split]."""
    model: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Who is evaluated; several may be given."""
    output: Path | None = None
    """The run folder."""
    limit: int | None = None
    """Take at most this many rows of a benchmark, of every subset its share."""
    partial: bool = False
    """Go on where a benchmark's rows are missing or unreadable; the result says so."""
    prior_sets: str | None = None
    """RewardBench: the older leaderboard's prior sets, too: a folder with a file for each, or
    hub:allenai/preference-test-sets."""
    protocol: str | None = None
    """How a judge's votes are counted: official, vlmevalkit or lmms-eval on VL-RewardBench, half or
    wrong elsewhere; the benchmark's own way where it is not given."""
    votes: int | None = None
    """How often a judge is asked about each order of two answers."""
    shuffled_pictures: bool = False
    """Also evaluate with the pictures of other rows, to see how much the pictures are used."""
    seed: int = 0
    """Of the intervals, of random orders and of shuffled pictures."""
    run_model_code: bool = False
    """Let remote: models run their own code on this machine, with all your rights. Read it
    first."""
    max_dollars: float | None = None
    """What all paid calls of the run together may cost, over all its starts."""
    dry_run: bool = False
    """Only say what calls would be made, and what they would cost."""
    compare: tuple[Path, ...] = ()
    """Compare the models of two finished runs, or those of one, instead of evaluating; with
    --output, also as files there."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """A configuration file, instead of the other flags; --output may change its folder."""
    write_config: Path | None = None
    """Only write what these flags say into a new file, where all else can be set, for --from."""


@dataclass(frozen=True, kw_only=True)
class ShowArguments:
    """Say why a pair is in a curated set, or why it is not."""

    id: tyro.conf.Positional[str]
    """The pair's id, or the place or id of its row in its source."""
    run: tyro.conf.Positional[Path]
    """The folder of the curation run, or of the set."""


@dataclass(frozen=True, kw_only=True)
class MiniatureBaseArguments:
    """Train a small Qwen2.5-VL from scratch on the miniature world; run again, it resumes."""

    output: Path
    """The run folder."""
    seed: int = 0
    """Of the weights, the pictures and their order."""


@dataclass(frozen=True, kw_only=True)
class MiniatureRewardArguments:
    """Train a reward model on the miniature world from a base; run again, it resumes."""

    base: str = "miniature-base"
    """What to train from: a base model's folder or name."""
    output: Path
    """The run folder."""
    num_pictures: int = 40_000
    """Pictures to learn from."""
    num_text_pairs: int = 70_000
    """Pairs without pictures to learn from."""
    batch_size: int = 64
    """Pairs a step; few pictures are learnt sooner in smaller batches."""
    seed: int = 0
    """Of the head's weights, the pictures and their order."""


@dataclass(frozen=True, kw_only=True)
class MiniatureCurateArguments:
    """Curate a set of the miniature world with planted faults in all three stages, offline.

    The models that are asked are stand-ins, over HTTP; run again, it resumes.
    """

    output: Path
    """The run folder."""
    num_pictures: int = 300
    """Pictures of the set."""
    num_text_pairs: int = 150
    """Pairs without pictures."""
    seed: int = 0
    """Of the pictures and of the faults."""
    port: int = 8377
    """Where the stand-in models listen on this machine."""
