"""The rows of the paper's tables 3 and 4: `lineup.md`, read as configurations."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, cast

from vlreward.evaluation.scorers.config import (
    Dtype,
    JudgeConfig,
    RemoteCall,
    RemoteCodeConfig,
    ScorerConfig,
    WeightsConfig,
)
from vlreward.generation.config import EndpointConfig
from vlreward.generation.spec import parse_endpoint

Adapter = Literal["api judge", "served judge", "local judge", "reward model", "remote code"]
Table = Literal[3, 4]

_SERVED_AT = "http://127.0.0.1:8000/v1"
_MAX_TOKENS = 2048


class Row(NamedTuple):
    """A row of the tables.

    `model` is a hub name, or the word for an endpoint; `max_pixels` None is the model's own limit;
    `own_code` is the call into the folder's own code, None where none is run.
    """

    word: str
    title: str
    tables: tuple[Table, ...]
    adapter: Adapter
    model: str
    dtype: Dtype | None
    max_pixels: int | None
    own_code: RemoteCall | None

    def config(self, *, table: Table | None = None) -> ScorerConfig:
        """How it runs on a table's benchmark, by default on that of the first it is in."""
        if self.adapter == "reward model":
            return ScorerConfig(name=self.title, reward_model=self._weights())
        if self.adapter == "remote code":
            assert self.own_code is not None
            remote = RemoteCodeConfig(
                path=self.model, call=self.own_code, dtype=self.dtype or "auto"
            )
            return ScorerConfig(name=self.title, remote_code=remote)
        manner = _MANNERS[table or self.tables[0]]
        if self.adapter == "local judge":
            return ScorerConfig(name=self.title, judge=replace(manner, local=self._weights()))
        endpoint = replace(
            self._endpoint(),
            temperature=manner.temperature,
            top_p=manner.top_p,
            max_output_tokens=manner.max_new_tokens,
        )
        judge = replace(manner, endpoint=endpoint, local=None)
        return ScorerConfig(name=self.title, judge=judge)

    @property
    def model_name(self) -> str:
        """How the model is called at its place."""
        return self.model.partition(":")[2] if self.adapter == "api judge" else self.model

    def _weights(self) -> WeightsConfig:
        return WeightsConfig(
            path=self.model, dtype=self.dtype or "auto", max_pixels=self.max_pixels
        )

    def _endpoint(self) -> EndpointConfig:
        if self.adapter == "api judge":
            return parse_endpoint(self.model)
        return EndpointConfig(
            base_url=_SERVED_AT,
            model=self.model,
            dollars_per_million_input_tokens=0.0,
            dollars_per_million_output_tokens=0.0,
        )


_STAND_IN = WeightsConfig(path="")
_MANNERS: dict[Table, JudgeConfig] = {
    3: JudgeConfig(
        local=_STAND_IN,
        max_new_tokens=_MAX_TOKENS,
        temperature=0.2,
        top_p=0.2,
        form="overall-judgment",
        order="random",
        num_votes=10,
    ),
    4: JudgeConfig(local=_STAND_IN, max_new_tokens=_MAX_TOKENS, form="brackets", order="random"),
}
"""How the authors of VL-RewardBench and of RewardBench have language models asked."""


@cache
def lineup() -> tuple[Row, ...]:
    """All rows, in the order of the tables."""
    text = (files("vlreward.evaluation.scorers") / "lineup.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return tuple(_row(line) for line in lines[1:])


def find_row(word: str) -> Row | None:
    """The row of a word, if it is one."""
    return next((row for row in lineup() if row.word == word), None)


def row_of(config: ScorerConfig) -> Row | None:
    """The row whose model the configuration runs in its own way, by whatever word it was named.

    None for any other model, for ratings, and where the model reads captions.
    """
    if config.captions is not None:
        return None
    name = _model_of(config)
    return next((row for row in lineup() if row.model_name == name), None)


def _model_of(config: ScorerConfig) -> str | None:
    """What the one model is called at its place."""
    if config.judge is None:
        weights = config.reward_model or config.remote_code
        return weights.path if weights else None
    if config.judge.ask != "pair":
        return None
    if config.judge.endpoint is not None:
        return config.judge.endpoint.model
    return config.judge.local.path if config.judge.local else None


def _row(line: str) -> Row:
    word, title, tables, adapter, model, dtype, pixels, own_code = (
        cell.strip() for cell in line.strip("|").split("|")
    )
    return Row(
        word=word,
        title=title,
        tables=cast("tuple[Table, ...]", tuple(int(number) for number in tables.split())),
        adapter=cast(Adapter, adapter),
        model=model,
        dtype=None if dtype == "api" else cast(Dtype, dtype),
        max_pixels=None if pixels == "own" else int(pixels),
        own_code=None if own_code == "none" else cast(RemoteCall, own_code),
    )
