"""The second stage whole: a small surrogate is trained in the run, an endpoint asked over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support import tiny
from tests.support.endpoint import pairs as world_pairs
from tests.support.endpoint import truth
from vlreward.curation import ledger
from vlreward.curation.config import CurateConfig
from vlreward.errors import CheckpointError, ConfigError, DataError
from vlreward.generation.config import EndpointConfig
from vlreward.recipes.curation import second_stage_steps
from vlreward.records import Response
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences
from vlreward.sources.write import write_parquet
from vlreward.workflows.curate import curate_sets, plan_calls
from vlreward.world.answers import REFUSALS
from vlreward.world.endpoint.config import WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint

NUM_PAIRS = 40


def generator(base_url: str) -> EndpointConfig:
    return EndpointConfig(
        base_url=base_url,
        model="world-vlm",
        dollars_per_million_input_tokens=0.0,
        dollars_per_million_output_tokens=0.0,
        tokens_per_picture=100,
    )


def config(folder: Path, base_url: str) -> CurateConfig:
    """Pairs whose chosen answers refuse, and the second stage with a very small surrogate."""
    data, model = folder / "pairs.parquet", folder / "base"
    if not data.exists():
        given = [one.pair for one in world_pairs() if one.rejected == "wrong"]
        refused = Response(content=(REFUSALS[0],))
        pairs = [replace(one, chosen=refused) for one in given[:: len(given) // NUM_PAIRS]]
        write_parquet(pairs[:NUM_PAIRS], data)
        tiny.write_base_model(model, "qwen2_5_vl", tied=True)
    judge = replace(generator(base_url), model="world-judge")
    steps = second_stage_steps(
        generator=generator(base_url),
        judge=judge,
        recipe="miniature",
        model=str(model),
        weak_share=0.4,
        max_rows=NUM_PAIRS - 5,
    )
    return CurateConfig(
        output=str(folder / "run"), data=(SourceConfig(path=str(data)),), steps=steps
    )


def test_weak_answers_are_written_anew_and_the_card_shows_the_scores(tmp_path: Path) -> None:
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        wanted = config(tmp_path, endpoint.base_url)
        planned = plan_calls(wanted, command=[]).steps["regenerate-weak"]
        assert not endpoint.bill.answered
        folder = curate_sets(wanted, command=["vlreward", "curate"])
        asked = len(endpoint.bill.answered)
    assert 0 < asked <= planned.num_calls
    kept = list(read_preferences(SourceConfig(path=str(folder / "data"))))
    assert len(kept) == NUM_PAIRS - 5 and not any(isinstance(one, DataError) for one in kept)
    reasons = [one.reason for one in ledger.read(folder / "ledger.parquet")]
    assert reasons.count("over-cap") == 5
    answers = [one.chosen for one in kept if not isinstance(one, DataError)]
    anew = {one.text for one in answers if one.model == "world-vlm"}
    assert REFUSALS[0] not in anew and any(one.text == REFUSALS[0] for one in answers)
    assert reasons.count("chosen-regenerated") >= len(anew) > 5
    card = (folder / "README.md").read_text()
    assert "![Weak pairs by a surrogate](regenerate-weak.png)" in card and "## Mixture" in card
    assert "in its stead: `" in card
    examples = card.partition("## Examples of what was dropped")[2]
    assert all("\n    - `" in one for one in examples.split("\n- ")[1:])
    assert (folder / "regenerate-weak.png").read_bytes().startswith(b"\x89PNG")
    scores = pq.read_table(folder / "regenerate-weak.parquet").to_pylist()
    known = {one.id for one in kept if not isinstance(one, DataError)}
    assert len(scores) == NUM_PAIRS and len({one["id"] for one in scores} & known) > 5
    assert all(isinstance(one["chosen"], float) and one["fold"] in (0, 1) for one in scores)
    models = [*(tmp_path / "run" / "work").glob("*/surrogate/*/run/model/config.json")]
    assert len(models) == 2


def test_a_surrogate_that_cannot_be_is_found_out_before_anything_is_made(tmp_path: Path) -> None:
    wanted = config(tmp_path, "http://127.0.0.1:9/v1")
    step = replace(
        wanted.steps[0],  # type: ignore[type-var]
        surrogate=replace(wanted.steps[0].surrogate, recipe="other"),  # type: ignore[union-attr]
    )
    with pytest.raises(ConfigError, match="skywork-vl, miniature, scratch"):
        curate_sets(replace(wanted, steps=(step,)), command=[])
    nowhere = replace(step, surrogate=replace(wanted.steps[0].surrogate, model="nowhere"))  # type: ignore[union-attr]
    with pytest.raises(CheckpointError, match="model-folder-missing"):
        curate_sets(replace(wanted, steps=(nowhere,)), command=[])
    assert not (tmp_path / "run").exists()
