"""What tests of judged curation share: overlapping sources about the world, and their recipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vlreward.curation.config import CurateConfig
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.generation.config import EndpointConfig
from vlreward.generation.requests import ChatRequest, to_openai_messages
from vlreward.records import Judgment, PreferencePair
from vlreward.sources.config import SourceConfig
from vlreward.sources.write import write_parquet
from vlreward.world.endpoint.config import FaultRates, RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.protocol import request_id
from vlreward.world.preferences import WorldPair

INPUT_PRICE, OUTPUT_PRICE = 2.5, 10.0
"""Dollars for a million tokens."""
TOKENS_A_PICTURE = 100
MIX = FaultRates(rate_limit=0.10, server_error=0.05, hang=0.02, torn=0.01, refusal=0.01)


def silent_rows(pairs: Iterable[WorldPair], *, number: int) -> list[PreferencePair]:
    """So many pairs that do not say how sure their judges were, every third with a wrong label.

    All differ in content.
    """
    found: dict[str, PreferencePair] = {}
    for one in pairs:
        if one.rejected == "wrong":
            pair = replace(one.pair, judgment=Judgment(kind="human"))
            kept = pair.swapped() if len(found) % 3 == 0 else pair
            if pair.id not in found and pair.swapped().id not in found:
                found[kept.id] = kept
        if len(found) == number:
            return list(found.values())
    raise AssertionError(f"the world gave {len(found)} pairs, not {number}")


def write_sources(folder: Path, rows: Sequence[PreferencePair]) -> tuple[Path, Path]:
    """Two files that share every tenth row."""
    half = len(rows) // 2
    first, second = rows[:half], [*rows[half:], *rows[:half:10]]
    write_parquet(first, folder / "first.parquet")
    write_parquet(second, folder / "second.parquet")
    return folder / "first.parquet", folder / "second.parquet"


def judge_at(base_url: str, **settings: object) -> EndpointConfig:
    """The world's judge with its prices."""
    given = {"max_concurrency": 8, "max_attempts": 30, "max_output_tokens": 100, **settings}
    return EndpointConfig(
        base_url=base_url,
        model="world-judge",
        dollars_per_million_input_tokens=INPUT_PRICE,
        dollars_per_million_output_tokens=OUTPUT_PRICE,
        tokens_per_picture=TOKENS_A_PICTURE,
        **given,  # type: ignore[arg-type]
    )


def world_config(**settings: object) -> WorldEndpointConfig:
    """An endpoint whose judge charges."""
    judge = RoleConfig(input_price=INPUT_PRICE, output_price=OUTPUT_PRICE)
    return WorldEndpointConfig(judge=judge, **settings)  # type: ignore[arg-type]


def recipe(
    sources: Iterable[Path], *, judge: EndpointConfig | None, output: Path, **settings: object
) -> CurateConfig:
    """The first stage, with a judge for rows that do not say how sure theirs were."""
    return CurateConfig(
        output=str(output),
        data=tuple(SourceConfig(path=str(one)) for one in sources),
        steps=(DropIdentical(), DropSimilar(), DropAmbiguous(judge=judge, **settings)),  # type: ignore[arg-type]
    )


def bill_id(request: ChatRequest, *, endpoint: EndpointConfig) -> str:
    """The name by which the endpoint's bill lists a request."""
    return request_id(
        {
            "model": request.model,
            "messages": to_openai_messages(request.messages),
            endpoint.output_limit_field: request.max_output_tokens,
            "temperature": request.temperature,
        }
    )
