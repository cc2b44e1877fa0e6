"""The same inputs make the same Parquet, byte for byte, whatever the hash seed and the order."""

import os
import subprocess
import sys
from itertools import permutations, product

import pytest

from tests.support.endpoint import pairs, truth
from tests.workflows.judging import (
    judge_at,
    recipe,
    silent_rows,
    world_config,
    write_sources,
)
from tests.workflows.sets import digests
from vlreward import configuration
from vlreward.sources.write import write_parquet
from vlreward.workflows.curate import curate_sets
from vlreward.world.endpoint.config import RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.preferences import make_pairs


def three_sources(folder, rows):
    """Files that share rows, two of them with one name for the source and other labels."""
    first, second = write_sources(folder, rows)
    write_parquet([one.swapped() for one in rows[::7]], folder / "third.parquet")
    return first, second, folder / "third.parquet"


def curated(folder, sources, endpoint, *, seed):
    """The digests of a run in a process of its own with this hash seed."""
    folder.mkdir()
    config = recipe(sources, judge=judge_at(endpoint.base_url), output=folder / "run")
    (folder / "config.yaml").write_text(configuration.to_yaml(config))
    arguments = ["curate", "--from", str(folder / "config.yaml")]
    code = f"from vlreward.cli import run; run({arguments!r})"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return digests(folder / "run" / "set")


def test_the_order_of_judged_sources_changes_no_byte(tmp_path):
    sources = three_sources(tmp_path, silent_rows(pairs(), number=40))
    with WorldEndpoint(truth(), world_config()) as endpoint:
        judge = judge_at(endpoint.base_url)
        found = [
            digests(
                curate_sets(
                    recipe(order, judge=judge, output=tmp_path / str(number)),
                    command=["vlreward", "curate"],
                )
            )
            for number, order in enumerate((sources, sources[::-1]))
        ]
    assert found[0] == found[1] and len(found[0]) == 2


@pytest.mark.slow
def test_neither_hash_seeds_nor_any_order_of_sources_changes_a_byte(tmp_path):
    known = list(make_pairs(num_pictures=250, seed=8, split="train"))
    sources = three_sources(tmp_path, silent_rows(known, number=500))
    erring = WorldEndpointConfig(judge=RoleConfig(error_rate=0.2), judge_errors="call")
    with WorldEndpoint(WorldTruth(known), erring) as endpoint:
        found = [
            curated(tmp_path / f"{number}", order, endpoint, seed=seed)
            for number, (seed, order) in enumerate(product("012", permutations(sources)))
            if number % 3 == 0 or number < 3
        ]
    assert all(one == found[0] for one in found) and len(found) >= 8
