"""How curation's first steps grow: minutes and peak memory of identical + similar + ledger.

    python benchmarks/curation.py [--rows 100000 200000 400000] [--recall 20000]

Rows are made-up texts over a vocabulary of 20,000 words, some far more frequent than others; a
tenth of the rows are copies of earlier ones, a tenth paraphrases. Each size runs in a process of
its own, whose peak memory is the system's figure. The vectors of prompt, chosen and rejected have
128 numbers each, 384 a row.
`--recall` compares the pairs found near each other with all that are, on a number of rows.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vlreward.curation import ledger
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.neighbours import SCALE, Cells, near_pairs, rounded
from vlreward.curation.pipeline import curate
from vlreward.curation.steps import Bench
from vlreward.curation.working_set import read_in, rows_of
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.progress import Progress
from vlreward.records import Message, Origin, PreferencePair, Prompt, Response

NUM_WORDS = 20_000
LENGTHS = {"prompt": (6, 30), "chosen": (10, 60), "rejected": (10, 60)}


def texts(rng: random.Random, words: list[str], weights: list[float]) -> list[str]:
    """A prompt and two answers."""
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(*bounds)))
        for bounds in LENGTHS.values()
    ]


def make_rows(num_rows: int) -> Iterator[PreferencePair]:
    """The rows; copies and paraphrases are of earlier ones."""
    rng = random.Random(0)
    letters = "abcdefghijklmnoprstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(NUM_WORDS)]
    weights = list(np.cumsum(1 / np.arange(1, NUM_WORDS + 1)))
    recent: list[list[str]] = []
    for number in range(num_rows):
        kind = rng.random()
        if kind < 0.2 and recent:
            said = list(rng.choice(recent))
            if kind < 0.1:
                said[0] = f"Please tell me: {said[0]}?"
        else:
            said = texts(rng, words, weights)
            recent.append(said)
            if len(recent) > 10_000:
                recent[rng.randrange(len(recent))] = recent.pop()
        yield PreferencePair(
            prompt=Prompt(messages=(Message(role="user", content=(said[0],)),)),
            chosen=Response(content=(said[1],)),
            rejected=Response(content=(said[2],)),
            origin=Origin(source="made", place=f"made:{number}"),
        )


def run(num_rows: int) -> None:
    """One size, in this process; prints a line of the table."""
    with tempfile.TemporaryDirectory() as temporary, Progress() as progress:
        folder = Path(temporary)
        started = time.monotonic()
        read_in([("made", make_rows(num_rows))], folder / "read")
        read = time.monotonic() - started
        started = time.monotonic()
        out = curate(
            rows_of(folder / "read"),
            steps=[DropIdentical(), DropSimilar()],
            bench=Bench(folder=folder / "work", embedder=HashedEmbedder()),
            progress=progress,
        )
        ledger.write(out.entries, folder / "ledger.parquet")
        seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    counts = {one.reason: one.num_rows for one in ledger.counts(out.entries)}
    print(
        f"| {num_rows:,} | {read / 60:.1f} | {seconds / 60:.1f} | {peak:.1f} "
        f"| {counts.get('identical', 0):,} | {counts.get('similar', 0):,} |",
        flush=True,
    )


def recall(num_rows: int, *, min_similarity: float = 0.7) -> None:
    """Of all near pairs among so many rows' vectors, which share is found."""
    rows = list(make_rows(num_rows))
    embedder = HashedEmbedder()
    parts = [
        embedder.embed([str(one.prompt.messages[0].content[0]) for one in rows]),
        embedder.embed([one.chosen.text for one in rows]),
        embedder.embed([one.rejected.text for one in rows]),
    ]
    vectors = rounded(np.concatenate(parts, axis=1) / np.sqrt(3))
    near = 0
    for start in range(0, num_rows, 1000):
        dots = vectors[start : start + 1000].astype(np.float32) @ vectors.astype(np.float32).T
        near += int(np.triu(dots >= min_similarity * SCALE**2, start + 1).sum())
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "vectors.npy"
        np.save(path, vectors)
        found = near_pairs(
            np.zeros(num_rows, dtype=np.int64),
            vectors=path,
            order=np.random.default_rng(0).integers(2**60, size=num_rows),
            min_similarity=min_similarity,
            cells=Cells(),
        )
    print(f"Of {near:,} near pairs among {num_rows:,} rows, {len(found) / max(1, near):.4f} found.")


def main() -> None:
    """Runs the sizes, then the recall."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 200_000, 400_000])
    parser.add_argument("--recall", type=int, default=20_000)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        run(given.rows[0])
        return
    print("| rows | minutes to read | minutes to curate | peak GiB | identical | similar |")
    print("|---|---|---|---|---|---|", flush=True)
    for num_rows in given.rows:
        subprocess.run([sys.executable, __file__, "--here", "--rows", str(num_rows)], check=True)
    recall(given.recall)


if __name__ == "__main__":
    main()
