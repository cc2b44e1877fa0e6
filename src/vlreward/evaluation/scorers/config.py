"""Who scores or judges, as configurations: one kind of scorer each, and what any of them may have.

A configuration holds exactly one kind. The word for it on a command line is read by `spec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from vlreward.errors import ConfigError, require
from vlreward.generation.config import EndpointConfig

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
AnswerOrder = Literal["both", "random", "length-parity", "given"]
ReplyForm = Literal["json", "overall-judgment", "brackets"]
RemoteCall = Literal["get-score", "get-score-pictures", "score-output"]
StepAggregate = Literal["mean", "min", "last"]
Combination = Literal["mean", "worst", "mean-minus-variance"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsConfig:
    """A model's weights and what it is given: a folder or hub name, precision, device, limits."""

    path: str
    """A model folder, or a hub name."""
    revision: str | None = None
    """Hub revision (branch, tag or commit)."""
    dtype: Dtype = "auto"
    """Precision; auto is float32 on the CPU and bfloat16 on a GPU."""
    device: str | None = None
    """Where to compute; unset, the GPU if there is one."""
    min_pixels: int | None = None
    """Smallest picture area after resizing; unset, the model's own."""
    max_pixels: int | None = None
    """Largest picture area after resizing; unset, the model's own."""
    max_length: int | None = None
    """Most tokens of a prompt with a response; unset, what the model was trained with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteCodeConfig:
    """A reward model that runs by code of its own folder, in a process and environment of its own.

    Such code can do whatever the user can do: read files, delete them, use the network.
    """

    path: str
    """A model folder, or a hub name."""
    revision: str | None = None
    """Hub revision; name a commit, so that the code stays the one that was looked at."""
    call: RemoteCall = "get-score"
    """What of the model is called. get-score: `get_score(tokenizer, chat)`, as InternLM2 has it;
    get-score-pictures: `get_score(chat, pictures, hd_num=…)`, as IXC-2.5; score-output: the `score`
    of its output, as QRM."""
    runs_code_of_the_model: bool = False
    """Whether the folder's own code may run here, with all that you may do on this machine. Read it
    before you say yes."""
    python: str | None = None
    """The Python interpreter of an environment that the model wants; unset, this one."""
    dtype: Dtype = "auto"
    """Precision; auto is float32 on the CPU and float16 on a GPU."""
    device: str | None = None
    """Where to compute; unset, the GPU if there is one."""
    hd_num: int = 9
    """IXC-2.5 only: into how many tiles at most a picture is cut."""
    timeout_seconds: float = 600.0
    """After how long without an answer to one comparison the process is given up."""
    start_timeout_seconds: float = 3600.0
    """The same for loading the model, download included."""

    def __post_init__(self) -> None:
        for name in ("timeout_seconds", "start_timeout_seconds", "hd_num"):
            value = getattr(self, name)
            require(value > 0, place=name, value=value, expected="above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeConfig:
    """A language model that says which of two answers is better, or rates each from 1 to 10."""

    endpoint: EndpointConfig | None = None
    """The model behind an API; this or `local`."""
    local: WeightsConfig | None = None
    """A model in this process."""
    max_new_tokens: int = 1024
    """Local only: a reply is cut after this many tokens (an endpoint has its own limit)."""
    temperature: float = 0.0
    """Local only: sampling temperature (an endpoint has its own)."""
    top_p: float | None = None
    """Local only: the share of probability that is drawn from (an endpoint has its own)."""
    ask: Literal["pair", "rating"] = "pair"
    """Compare two answers, or rate each by itself; only ratings can choose among more than two."""
    form: ReplyForm = "json"
    """How a verdict is worded: a JSON object; VL-RewardBench's `Overall Judgment: Answer 1 is
    better.`; RewardBench's `[[A]]`."""
    order: AnswerOrder = "both"
    """Which answer is shown first: each once, one drawn by `seed` for every vote, the first where
    both lengths make an even sum (VLMEvalKit, lmms-eval), or the row's own first."""
    num_votes: int = 1
    """How often each order is asked; of a rating, how many are averaged."""
    seed: int = 0
    """Of the random order, and of a local model's sampling."""
    prompt: Path | None = None
    """A file with a prompt in place of the packaged one."""

    def __post_init__(self) -> None:
        given = [name for name in ("endpoint", "local") if getattr(self, name) is not None]
        _require_one(given, choice="endpoint or local", place="judge")
        limit = self.max_new_tokens
        require(limit >= 1, place="max_new_tokens", value=limit, expected="1 or more")
        votes = self.num_votes
        require(
            1 <= votes <= 100, place="num_votes", value=votes, expected="a number from 1 to 100"
        )
        top_p = self.top_p
        require(
            top_p is None or 0 < top_p <= 1, place="top_p", value=top_p, expected="above 0, up to 1"
        )
        holds = self.ask == "pair" or self.form == "json"
        require(
            holds, place="form", value=self.form, expected="json, as ratings have no other form"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ImplicitConfig:
    """The reward that a policy trained by DPO implies: the log-probability of an answer."""

    policy: WeightsConfig
    """The trained model."""
    reference: WeightsConfig | None = None
    """The model that its training began with; unset, the log-probability alone counts."""
    normalise: Literal["none", "length"] = "none"
    """`length` divides by the answer's number of tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessConfig:
    """A process reward model: every step of an answer is judged by itself, as `+` or `-`."""

    model: WeightsConfig
    """The model, asked step by step as in a conversation (VisualPRM, arXiv 2503.10291)."""
    good: str = "+"
    """What the model says after a sound step."""
    bad: str = "-"
    """What it says after a flawed one."""
    steps: Literal["paragraphs", "lines"] = "paragraphs"
    """Where an answer is cut into steps: at empty lines, or at every line's end."""
    aggregate: StepAggregate = "mean"
    """How the steps' scores make the answer's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleConfig:
    """Several scorers as one, or several judges as a jury whose votes are counted together."""

    members: tuple[ScorerConfig, ...]
    """Two or more; all scorers, or all judges."""
    combine: Combination = "mean"
    """Scorers only: the mean, the worst, or the mean less the variance between the members."""
    variance_weight: float = 1.0
    """How much of the variance is taken off."""
    standardise: bool = False
    """Put each member's scores on the scale of its training first: less its mean, over its spread.
    Reward models trained here remember both."""

    def __post_init__(self) -> None:
        number = len(self.members)
        require(number >= 2, place="members", value=number, expected="two members or more")
        weight = self.variance_weight
        require(weight >= 0, place="variance_weight", value=weight, expected="0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionConfig:
    """A description of the pictures, put behind the question (Fact-RLHF, arXiv 2309.14525)."""

    endpoint: EndpointConfig | None = None
    """A model behind an API that describes; this or `local`."""
    local: WeightsConfig | None = None
    """A model in this process that describes."""
    max_new_tokens: int = 512
    """Local only: a description is cut after this many tokens."""
    keep_pictures: bool = True
    """Whether the scorer still sees the pictures; without them a model of text alone can score."""

    def __post_init__(self) -> None:
        given = [name for name in ("endpoint", "local") if getattr(self, name) is not None]
        _require_one(given, choice="endpoint or local", place="captions")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorerConfig:
    """One scorer or judge. Raises ConfigError unless exactly one kind is given."""

    name: str = ""
    """What tables call it; empty, the word that stands for it."""
    reward_model: WeightsConfig | None = None
    """A reward model: ours, Skywork-VL-Reward, any value head or sequence classification."""
    remote_code: RemoteCodeConfig | None = None
    """A reward model that needs code of its own folder."""
    judge: JudgeConfig | None = None
    """A language model as judge."""
    implicit: ImplicitConfig | None = None
    """The reward that a policy implies."""
    process: ProcessConfig | None = None
    """A process reward model."""
    ensemble: EnsembleConfig | None = None
    """Several of them as one."""
    captions: CaptionConfig | None = None
    """Descriptions of the pictures, for any kind."""

    def __post_init__(self) -> None:
        given = [name for name in KINDS if getattr(self, name) is not None]
        _require_one(given, choice=", ".join(KINDS), place="scorer")

    @property
    def kind(self) -> str:
        """Which kind is given."""
        return next(name for name in KINDS if getattr(self, name) is not None)


def every_part(
    config: ScorerConfig, change: Callable[[ScorerConfig], ScorerConfig]
) -> ScorerConfig:
    """The configuration with the change made to it and, in an ensemble, to each member."""
    ensemble = config.ensemble
    if ensemble is None:
        return change(config)
    members = tuple(every_part(one, change) for one in ensemble.members)
    return change(replace(config, ensemble=replace(ensemble, members=members)))


def parts_of(config: ScorerConfig) -> Iterator[ScorerConfig]:
    """The configuration and, of an ensemble, all that are in it."""
    yield config
    for member in config.ensemble.members if config.ensemble else ():
        yield from parts_of(member)


KINDS = tuple(
    field.name for field in fields(ScorerConfig) if field.name not in ("name", "captions")
)


def _require_one(given: list[str], *, choice: str, place: str) -> None:
    if len(given) != 1:
        raise ConfigError(
            "scorer-kinds",
            value=" and ".join(given) or "none of them",
            place=place,
            expected=f"exactly one of {choice}",
            mend="Name one, and leave the others out.",
        )
