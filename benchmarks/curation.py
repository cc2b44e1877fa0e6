"""How curation's first steps grow: minutes, peak memory and doubles left, beside other tools.

    python benchmarks/curation.py [--rows 100000 200000 400000] [--pictures 25000 50000 100000]
        [--recall 20000] [--semhash PYTHON] [--data-juicer PYTHON]

Texts are made up over a vocabulary of 20,000 words, some far more frequent than others; a tenth of
the rows are copies of earlier ones, a tenth paraphrases. The vectors of prompt, chosen and rejected
have 128 numbers each, 384 a row. With pictures, each row shows a small drawing of its own, and the
copies and paraphrases show it as a JPEG or in another size.

Each size runs in a process of its own: its time by the clock, its time on the processor (which
other programs on the machine do not lengthen), its peak memory. `doubles left` counts rows that
stay though another row with their content does, `lost` contents of which no row stays.
`--semhash` and `--data-juicer` name the Python of an environment with that tool and pyarrow, which
then gets the same rows, and semhash the same vectors (`benchmarks/curation_peers.py`).
`--recall` compares the pairs found near each other with all that are, on a number of rows.
"""

from __future__ import annotations

import argparse
import io
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from curation_peers import peak_gibibytes
from PIL import Image, ImageDraw

from vlreward.curation import ledger
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.neighbours import SCALE, Cells, near_pairs, rounded
from vlreward.curation.pipeline import curate
from vlreward.curation.steps import Bench
from vlreward.curation.working_set import read_in, rows_of
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.pictures import PictureStore
from vlreward.progress import Progress
from vlreward.records import Message, Origin, Part, Picture, PreferencePair, Prompt, Response

NUM_WORDS = 20_000
LENGTHS = {"prompt": (6, 30), "chosen": (10, 60), "rejected": (10, 60)}
COLOURS = ("red", "green", "blue", "orange", "purple", "black")


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A row's texts and the seed of its picture; rows with one `content` say the same."""

    content: int
    texts: tuple[str, str, str]
    is_copy: bool


def make(num_rows: int) -> Iterator[Made]:
    """The rows; copies and paraphrases are of earlier ones."""
    rng = random.Random(0)
    letters = "abcdefghijklmnoprstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(NUM_WORDS)]
    weights = list(np.cumsum(1 / np.arange(1, NUM_WORDS + 1)))
    recent: list[Made] = []
    for number in range(num_rows):
        kind = rng.random()
        if kind < 0.2 and recent:
            one = rng.choice(recent)
            asked, *answers = one.texts
            asked = f"Please tell me: {asked}?" if kind < 0.1 else asked
            yield Made(content=one.content, texts=(asked, *answers), is_copy=True)
            continue
        said = [
            " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(*bounds)))
            for bounds in LENGTHS.values()
        ]
        made = Made(content=number, texts=(said[0], said[1], said[2]), is_copy=False)
        recent.append(made)
        if len(recent) > 10_000:
            recent[rng.randrange(len(recent))] = recent.pop()
        yield made


def pairs(num_rows: int, *, store: PictureStore | None) -> Iterator[PreferencePair]:
    """The rows as pairs, with pictures where there is a store."""
    rng = random.Random(1)
    for number, one in enumerate(make(num_rows)):
        asked: tuple[Part, ...] = (one.texts[0],)
        if store is not None:
            asked = (picture(one, store=store, rng=rng), *asked)
        yield PreferencePair(
            prompt=Prompt(messages=(Message(role="user", content=asked),)),
            chosen=Response(content=(one.texts[1],)),
            rejected=Response(content=(one.texts[2],)),
            origin=Origin(source="made", row_id=str(one.content), place=f"made:{number}"),
        )


def picture(one: Made, *, store: PictureStore, rng: random.Random) -> Picture:
    """The content's drawing: a dozen shapes; in a copy a JPEG or of another size."""
    drawn = random.Random(one.content)
    image = Image.new("RGB", (120, 96), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, size = drawn.randrange(110), drawn.randrange(86), drawn.randrange(10, 40)
        shape = drawn.choice((draw.ellipse, draw.rectangle))
        shape([x, y, x + size, y + size], outline=drawn.choice(COLOURS), width=3)
    buffer = io.BytesIO()
    if one.is_copy and rng.random() < 0.5:
        image.save(buffer, "JPEG", quality=85)
    elif one.is_copy:
        image.resize((168, 134), Image.Resampling.BICUBIC).save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "PNG", compress_level=1)
    return store.add(buffer.getvalue())


def run(num_rows: int, *, with_pictures: bool) -> None:
    """One size, in this process; prints a line of the table."""
    with tempfile.TemporaryDirectory() as temporary, Progress() as progress:
        folder = Path(temporary)
        started = time.monotonic()
        store = PictureStore(folder / "pictures") if with_pictures else None
        read_in([("made", pairs(num_rows, store=store))], folder / "read")
        read = time.monotonic() - started
        started, busy = time.monotonic(), time.process_time()
        out = curate(
            rows_of(folder / "read"),
            steps=[DropIdentical(), DropSimilar()],
            bench=Bench(folder=folder / "work", embedder=HashedEmbedder()),
            progress=progress,
        )
        ledger.write(out.entries, folder / "ledger.parquet")
        seconds, busy = time.monotonic() - started, time.process_time() - busy
        kept = Counter(out.rows.select("row_id").to_pydict()["row_id"])
    contents = {one.content for one in make(num_rows)}
    name = "vlreward, pictures" if with_pictures else "vlreward"
    memory = peak_gibibytes()
    times = f"{read / 60:.1f} | {seconds / 60:.1f} | {busy / 60:.1f}"
    left = f"{kept.total() - len(kept):,} | {len(contents) - len(kept):,}"
    print(f"| {name} | {num_rows:,} | {times} | {memory:.1f} | {left} |", flush=True)


def write_for_peers(num_rows: int, folder: Path) -> None:
    """The rows' texts and contents as Parquet, and their vectors."""
    rows = list(make(num_rows))
    table = {
        "text": ["\n".join(one.texts) for one in rows],
        "content": [one.content for one in rows],
    }
    pq.write_table(pa.table(table), folder / "rows.parquet")
    np.save(folder / "vectors.npy", vectors_of(rows).astype(np.float32))


def vectors_of(rows: list[Made]) -> np.ndarray:
    """Unit vectors [rows, 384]: those of prompt, chosen and rejected beside each other."""
    parts = [HashedEmbedder().embed([one.texts[part] for one in rows]) for part in range(3)]
    return np.concatenate(parts, axis=1) / np.sqrt(3)


def recall(num_rows: int, *, min_similarity: float = 0.7) -> None:
    """Of all near pairs among so many rows' vectors, which share is found."""
    vectors = rounded(vectors_of(list(make(num_rows))))
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
    """Runs the sizes, the peers on the same rows, then the recall."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 200_000, 400_000])
    parser.add_argument("--pictures", type=int, nargs="*", default=[25_000, 50_000, 100_000])
    parser.add_argument("--recall", type=int, default=20_000)
    parser.add_argument("--semhash", help="the Python of an environment with semhash")
    parser.add_argument("--data-juicer", help="the Python of an environment with Data-Juicer")
    parser.add_argument("--here", choices=("texts", "pictures"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        run(given.rows[0], with_pictures=given.here == "pictures")
        return
    print("| tool | rows | read, min | curate, min | on the processor, min | peak GiB", end=" ")
    print("| doubles left | lost |\n|---|---|---|---|---|---|---|---|", flush=True)
    peers = {"semhash": given.semhash, "data-juicer": given.data_juicer}
    itself = [sys.executable, __file__, "--here"]
    for num_rows in given.rows:
        subprocess.run([*itself, "texts", "--rows", str(num_rows)], check=True)
        with tempfile.TemporaryDirectory() as temporary:
            if any(peers.values()):
                write_for_peers(num_rows, Path(temporary))
            script = str(Path(__file__).with_name("curation_peers.py"))
            for tool, python in peers.items():
                if python:
                    subprocess.run([python, script, tool, temporary], check=True)
    for num_rows in given.pictures:
        subprocess.run([*itself, "pictures", "--rows", str(num_rows)], check=True)
    if given.recall:
        recall(given.recall)


if __name__ == "__main__":
    main()
