"""That curation gives the same bytes on one worker and on many, in one process and on Ray."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.curation.making import drawing, saved
from tests.sources.making import write_rows
from tests.workflows.sets import digests, row

pytestmark = pytest.mark.slow

HAS_RAY = importlib.util.find_spec("ray") is not None
CURATE = """
import sys
import vlreward.curation.working_set as working_set
from vlreward.cli import run

working_set._SHARD_ROWS = 40
{before}
run(["curate", "--data", *{data!r}, "--output", {output!r}, *{more!r}])
"""
ON_THREADS = "import daft; daft.set_runner_native({num_workers})"
ON_NODES = """
import os

from ray.cluster_utils import Cluster

head = {{"num_cpus": 1, "include_dashboard": False}}
cluster = Cluster(initialize_head=True, head_node_args=head)
for _ in range({num_workers} - 1):
    cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Three overlapping files of a few hundred rows, with copies of pictures and of questions."""
    folder = tmp_path_factory.mktemp("sources")
    places = [(60 + 20 * at, 80 + 10 * at, "red") for at in range(6)]
    for number, circle in enumerate(places):
        saved(drawing(circle, (150, 140, "blue")), folder / f"{number}.png")
        saved(drawing(circle, (150, 140, "blue")), folder / f"{number}.jpg", quality=85)
    asked = ("How many circles are there?", "What is the number of circles?", "Is one of them red?")
    sets = {"one": "png", "two": "jpg", "three": "png"}
    for at, (name, ending) in enumerate(sets.items()):
        rows = [
            row(f"{name}{number}", f"<image>{asked[(number + at) % 3]}", "Two.", "Three.")
            | {"images": [f"{number % 6}.{ending}"], "confidence": 0.5 + number % 5 / 10}
            for number in range(60)
        ]
        rows += [
            row(f"{name}t{number}", f"{'Please tell me: ' * (at == 1)}Is {number} prime?")
            | {"images": [], "label_type": "human" if number % (at + 2) else "model"}
            | {"confidence": 1.0 if number % 9 else 0.5}
            for number in range(80)
        ]
        write_rows(folder / f"{name}.jsonl", *rows)
    return [str(folder / f"{name}.jsonl") for name in sets]


def curated(folder, data, *, before="", seed=0, more=()):
    """Digests of what a process of its own makes of the data."""
    code = CURATE.format(before=before, data=data, output=str(folder), more=list(more))
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": ":".join(sys.path),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return digests(folder / "set")


@pytest.fixture(scope="module")
def expected(tmp_path_factory, sources):
    found = curated(tmp_path_factory.mktemp("expected") / "run", sources)
    assert len(found) == 2
    return found


def test_there_is_something_to_drop(tmp_path, sources):
    curated(tmp_path / "run", sources)
    text = (tmp_path / "run" / "set" / "README.md").read_text()
    for reason in ("identical", "similar", "low-confidence"):
        assert f"| {reason} |" in text


@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_workers_hash_seeds_and_the_order_of_sources_change_no_byte(
    tmp_path, sources, expected, num_workers
):
    turned = sources[num_workers % 3 :] + sources[: num_workers % 3]
    before = ON_THREADS.format(num_workers=num_workers)
    assert curated(tmp_path / "run", turned, before=before, seed=num_workers) == expected


@pytest.mark.skipif(not HAS_RAY, reason="needs vlreward[cluster]")
@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_a_ray_cluster_changes_no_byte(tmp_path, sources, expected, num_workers):
    before = ON_NODES.format(num_workers=num_workers)
    more = ["--cluster", "auto"]
    assert curated(tmp_path / "run", sources[::-1], before=before, more=more) == expected
