"""What each stage of curation is worth: reward models trained on a faulty set after every stage.

    python benchmarks/ablation.py --output runs/ablation [--seeds 0 1 2]

Pairs of the miniature world get wrong labels (20 %), weak chosen answers (20 %), ties (5 %) and
doubles in another source (15 %). The set is curated with stand-in models that err (judge 5 %,
writers 10 %), by one stage, two and three. From the shipped base, by the same recipe, a reward
model is trained on the raw set, on each curated one and, for comparison, on the set without faults;
all are measured on the same unseen pairs without faults. The surrogate is trained from the base
too. Run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vlreward import markdown
from vlreward.curation.config import CurateConfig
from vlreward.durable import write_json_atomically
from vlreward.interfaces import Scorer
from vlreward.recipes.curation import miniature_curation
from vlreward.recipes.miniature import miniature
from vlreward.records import PreferencePair
from vlreward.runs import only_writer
from vlreward.sources.config import SourceConfig
from vlreward.sources.write import write_parquet
from vlreward.statistics import wilson_interval
from vlreward.training.run import train
from vlreward.workflows.curate import curate_sets
from vlreward.workflows.miniature_curation import (
    endpoint_config,
    plant_world,
    truth_of,
    write_planted,
)
from vlreward.workflows.world_exam import judge_pairs
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.preferences import make_pairs, make_text_pairs

# Those that a few thousand pairs teach, so that faults of the pairs show.
FAMILIES = (
    "single shapes",
    "objects",
    "positions",
    "grids",
    "several pictures",
    "sectors",
    "right triangles",
)
NUM_PICTURES = 900
NUM_TEXT_PAIRS = 600
STAGES = {
    "stage 1": "drop-ambiguous",
    "stages 1-2": "regenerate-weak",
    "stages 1-3": "compare-reasoning",
}
"""The last step of each."""


def up_to(last: str, *, data: Sequence[str], base_url: str, output: str) -> CurateConfig:
    """The recipe up to the step of this name, its surrogate trained from the base."""
    config = miniature_curation(
        data=data, base_url=base_url, output=output, surrogate_model="miniature-base"
    )
    names = [step.name for step in config.steps]
    return replace(config, steps=config.steps[: names.index(last) + 1])


def sets(folder: Path, *, seed: int, port: int) -> dict[str, list[str]]:
    """The files of every set, by what was done to it."""
    planted = plant_world(
        num_pictures=NUM_PICTURES, num_text_pairs=NUM_TEXT_PAIRS, seed=seed, families=FAMILIES
    )
    drawn = {"num_pictures": NUM_PICTURES, "num_text_pairs": NUM_TEXT_PAIRS, "seed": seed}
    with only_writer(folder):
        raw = write_planted(planted, folder / "raw", drawn=drawn)
        sound = folder / "sound.parquet"
        if not sound.exists():
            made = make_pairs(
                num_pictures=NUM_PICTURES, seed=seed, split="train", families=FAMILIES
            )
            texts = make_text_pairs(num_pairs=NUM_TEXT_PAIRS, seed=seed, split="train")
            write_parquet((one.pair for one in (*made, *texts)), sound)
    found = {"without faults": [str(sound)], "raw": raw}
    with WorldEndpoint(truth_of(planted), endpoint_config(port=port)) as endpoint:
        configure = partial(up_to, data=raw, base_url=endpoint.base_url)
        for name, last in STAGES.items():
            output = str(folder / name.replace(" ", "-"))
            done = curate_sets(configure(last, output=output), command=["ablation"])
            found[name] = [str(done / "data")]
    return found


def fit(files: Sequence[str], *, output: Path, seed: int) -> Scorer:
    """A reward model trained on the files by the demo's recipe."""
    config = miniature(data=files[0], validation=files[0], output=str(output), seed=seed)
    sources = tuple(SourceConfig(path=path) for path in files)
    return train(replace(config, data=sources, validation=(), validate_every_steps=0))


def right(scorer: Scorer, pairs: Sequence[PreferencePair]) -> int:
    """How many pairs it orders rightly."""
    return sum(one.is_right for one in judge_pairs(scorer, pairs))


def main() -> None:
    """Runs all seeds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--port", type=int, default=8379)
    given = parser.parse_args()
    pictured = [
        one.pair for one in make_pairs(num_pictures=420, seed=0, split="test", families=FAMILIES)
    ]
    texts = [one.pair for one in make_text_pairs(num_pairs=420, seed=0, split="test")]
    rows: dict[str, list[tuple[int, int]]] = {}
    for seed in given.seeds:
        folder = given.output / f"seed-{seed}"
        for name, files in sets(folder, seed=seed, port=given.port).items():
            note = folder / f"{name.replace(' ', '-')}.json"
            if not note.exists():
                model = fit(files, output=folder / "models" / name.replace(" ", "-"), seed=seed)
                write_json_atomically(note, [right(model, pictured), right(model, texts)])
            rows.setdefault(name, []).append(tuple(json.loads(note.read_text(encoding="utf-8"))))
            print(f"seed {seed}, {name}: {rows[name][-1]}", flush=True)
    table = []
    for name, found in rows.items():
        cells = [name]
        for column, number in ((0, len(pictured)), (1, len(texts))):
            counts = [one[column] for one in found]
            low, high = wilson_interval(sum(counts), number * len(counts))
            cells.append(f"{sum(counts) / number / len(counts):.3f} [{low:.3f}, {high:.3f}]")
            cells.append(", ".join(f"{count / number:.3f}" for count in counts))
        table.append(cells)
    header = ["trained on", "multimodal [95 %]", "each seed", "text [95 %]", "each seed"]
    print(markdown.table(header, table))


if __name__ == "__main__":
    main()
