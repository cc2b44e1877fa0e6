"""Other tools on the rows of `benchmarks/curation.py`, each in an environment of its own.

    python benchmarks/curation_peers.py semhash|data-juicer FOLDER

FOLDER holds `rows.parquet` (text, content) and `vectors.npy`. semhash compares the given vectors
(threshold .95, its README's way to skip its own encoder); Data-Juicer's DocumentMinhashDeduplicator
compares sets of five words by MinHash, with its defaults (Jaccard .7, 256 permutations). Prints a
line of the table.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


def peak_gibibytes() -> float:
    """The most memory that this program has held; what its parent held before does not count."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 2**20


def with_semhash(texts: list[str], vectors: np.ndarray) -> list[str]:
    """The texts that stay."""
    from semhash import SemHash

    class NoEncoder:
        def encode(self, *_: object, **__: object) -> np.ndarray:
            raise AssertionError("vectors are given")

    found = SemHash.from_embeddings(vectors, texts, NoEncoder()).self_deduplicate(threshold=0.95)
    return list(found.selected)


def with_data_juicer(texts: list[str]) -> list[str]:
    """The texts that stay."""
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import (
        DocumentMinhashDeduplicator,
    )

    step = DocumentMinhashDeduplicator()
    rows = NestedDataset.from_dict({"text": texts}).map(step.compute_hash)
    kept, _ = step.process(rows)
    return list(kept["text"])


def main() -> None:
    """Runs the tool."""
    tool, folder = sys.argv[1], Path(sys.argv[2])
    table = pq.read_table(folder / "rows.parquet").to_pydict()
    content_of = dict(zip(table["text"], table["content"], strict=True))
    started, busy = time.monotonic(), time.process_time()
    if tool == "semhash":
        kept = with_semhash(table["text"], np.load(folder / "vectors.npy"))
    else:
        kept = with_data_juicer(table["text"])
    seconds, busy = time.monotonic() - started, time.process_time() - busy
    memory = peak_gibibytes()
    counts = Counter(content_of[text] for text in kept)
    left, lost = counts.total() - len(counts), len(set(table["content"])) - len(counts)
    times = f"- | {seconds / 60:.1f} | {busy / 60:.1f}"
    print(
        f"| {tool} | {len(table['text']):,} | {times} | {memory:.1f} | {left:,} | {lost:,} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
