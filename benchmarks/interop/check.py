"""Holds our scores against LLaMA-Factory's, ms-swift's and the published recipe's.

    python check.py --peers peers

Needs what the README's commands make in the peers folder: `data`, `out_lf`, `scores_lf.json`,
`out_sw/checkpoint-4`, `scores_sw.json`, `tiny_tied`, `tiny_untied` and the environment `old`
(transformers 4.51). It prints the greatest difference of each comparison, and ends with exit code
1 if one exceeds 1e-5. Run it with the interpreter that has vlreward; runs of its own go into a
temporary folder.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlreward import RewardModel, train
from vlreward.recipes.skywork_vl import skywork_vl

TOLERANCE = 1e-5
RECIPE = Path(__file__).resolve().parent / "published_recipe.py"
PEERS = {
    "LLaMA-Factory": ("out_lf", "scores_lf.json"),
    "ms-swift": ("out_sw/checkpoint-4", "scores_sw.json"),
}
KINDS = ("tied", "untied")


@dataclass(frozen=True)
class Finding:
    """One comparison and the greatest difference of a score in it."""

    name: str
    difference: float
    num_scores: int

    def __str__(self) -> str:
        """One line of the report."""
        verdict = "ok" if self.difference <= TOLERANCE else f"exceeds {TOLERANCE:g}"
        return f"{self.difference:8.1e}  {self.name}, {self.num_scores} scores: {verdict}"


def compare(name: str, ours: list[float], theirs: list[float]) -> Finding:
    """Return the greatest difference; NaN counts as one."""
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    finite = all(difference < float("inf") for difference in differences)
    return Finding(name, max(differences) if finite else float("inf"), len(ours))


def check_peer(peers: Path, name: str) -> Finding:
    """Score a peer's checkpoint on the rows that its own code scored."""
    checkpoint, scores = PEERS[name]
    model = RewardModel.load(peers / checkpoint)
    ours: list[float] = []
    theirs: list[float] = []
    for row in json.loads((peers / scores).read_text()):
        picture = peers / "data" / Path(row["image"]).name
        ours += model.score(row["prompt"], [row["chosen"], row["rejected"]], images=[picture])
        theirs += [row["score_chosen"], row["score_rejected"]]
    return compare(f"{name}'s checkpoint by us and by its own code", ours, theirs)


def train_briefly(peers: Path, kind: str, output: Path) -> RewardModel:
    """Train the paper's two stages for a few steps from a tiny base model."""
    config = skywork_vl(
        data=[str(peers / "data" / "pairs.json")],
        output=str(output),
        model=str(peers / f"tiny_{kind}"),
    )
    stages = tuple(replace(stage, learning_rate=1e-3, batch_size=8) for stage in config.stages)
    return train(replace(config, model=replace(config.model, dtype="float32"), stages=stages))


def score_rows(model: RewardModel, rows: list[dict[str, Any]]) -> list[float]:
    """Score the recipe's rows, one response each."""
    scores: list[float] = []
    for row in rows:
        images = [row["image"]] if row["image"] else []
        scores += model.score(row["prompt"], [row["response"]], images=images)
    return scores


def recipe_scores(python: Path, checkpoint: Path, rows: Path) -> tuple[str, list[float]]:
    """Return what the published recipe says under an interpreter, and its transformers' version."""
    output = rows.with_name("recipe.json")
    command = [str(python), str(RECIPE), str(checkpoint), str(rows), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    document = json.loads(output.read_text())
    return document["transformers"], [score["score"] for score in document["scores"]]


def check_ours(peers: Path, kind: str, folder: Path) -> Iterator[Finding]:
    """Train, reload, and have the published recipe score what we wrote."""
    trained = train_briefly(peers, kind, folder / "run")
    rows = json.loads((peers / "data" / "rows.json").read_text())
    for row in rows:
        row["image"] = str(peers / "data" / row["image"]) if row["image"] else None
    (folder / "rows.json").write_text(json.dumps(rows))
    ours = score_rows(trained, rows)
    checkpoint = folder / "run" / "model"
    reloaded = score_rows(RewardModel.load(checkpoint), rows)
    yield compare(f"our {kind} checkpoint, before and after saving", ours, reloaded)
    for python in (peers / "old" / "bin" / "python", Path(sys.executable)):
        version, theirs = recipe_scores(python, checkpoint, folder / "rows.json")
        name = f"our {kind} checkpoint by us and by the recipe, transformers {version}"
        yield compare(name, ours, theirs)


def find_all(peers: Path) -> Iterator[Finding]:
    """Yield every comparison as it is made."""
    for name in PEERS:
        yield check_peer(peers, name)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            yield from check_ours(peers, kind, Path(folder))


def main() -> None:
    """Print every comparison; exit code 1 if one exceeds the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", type=Path, default=Path("peers"))
    peers = parser.parse_args().peers.resolve()
    findings = []
    for finding in find_all(peers):
        print(finding, flush=True)
        findings.append(finding)
    sys.exit(any(finding.difference > TOLERANCE for finding in findings))


if __name__ == "__main__":
    main()
