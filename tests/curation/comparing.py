"""What the tests of reasoning comparisons are made from: the step, its runs, and decisions."""

import json
from dataclasses import replace

from tests.curation.judging import bench
from vlreward.curation.annotation import DECISIONS
from vlreward.curation.compare_reasoning import SOURCE, CompareReasoning
from vlreward.curation.pipeline import curate, rehearse
from vlreward.curation.simulated_annotators import SimulatedAnnotators
from vlreward.curation.working_set import pairs_of, rows_of
from vlreward.generation.config import EndpointConfig
from vlreward.progress import Progress

NOWHERE = "http://127.0.0.1:9/v1"
"""Where nobody answers."""


def model(url, name):
    return EndpointConfig(
        base_url=url,
        model=name,
        max_concurrency=8,
        dollars_per_million_input_tokens=2.5,
        dollars_per_million_output_tokens=10.0,
        tokens_per_picture=100,
        max_output_tokens=200,
        expected_output_tokens=20,
    )


def step(url=NOWHERE, **settings):
    return CompareReasoning(
        vlm=model(url, "world-vlm"),
        describer=model(url, "world-describer"),
        reasoner=model(url, "world-reasoner"),
        labeller=model(url, "world-judge"),
        **settings,
    )


def simulated(url, **settings):
    return SimulatedAnnotators(endpoint=model(url, "world-judge"), **settings)


def run(tmp_path, rows, step, *, max_dollars=None):
    with bench(tmp_path, max_dollars=max_dollars) as made, Progress() as progress:
        made = replace(made, annotation=tmp_path / "annotation")
        return curate(rows_of(rows), steps=[step], bench=made, progress=progress)


def plan(tmp_path, rows, step):
    with bench(tmp_path) as made, Progress() as progress:
        return rehearse(rows_of(rows), steps=[step], bench=made, progress=progress)[step.name]


def added(curated):
    return [one for one in pairs_of(curated.rows) if one.origin.source == SOURCE]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def decide(folder, choose, *, annotators=("ann",)):
    """Every task decided by each annotator as `choose` says of the key's row and their name."""
    decisions = [
        {"task": row["id"], "annotator": name, "better": choose(row, name)}
        for row in lines(folder / "annotation" / "key.jsonl")
        for name in annotators
    ]
    text = "".join(f"{json.dumps(one)}\n" for one in decisions)
    (folder / "annotation" / DECISIONS).write_text(text)


def side_of(row, kind):
    return "A" if row["a"]["kind"] == kind else "B"


def exhibit(curated):
    (shown,) = curated.exhibits
    return shown.text
