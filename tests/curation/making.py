"""What the tests of curation are made from: pairs about drawn pictures, and steps run on them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from vlreward.curation.ledger import Entry
from vlreward.curation.pipeline import Curated, curate
from vlreward.curation.steps import Bench, Step
from vlreward.curation.working_set import read_in, rows_of
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.interfaces import Embedder
from vlreward.pictures import admit
from vlreward.progress import Progress
from vlreward.records import (
    Judgment,
    Message,
    Origin,
    Picture,
    PreferencePair,
    Prompt,
    Response,
)


def pair(
    prompt: str = "How many circles are there?",
    chosen: str = "Three.",
    rejected: str = "Five.",
    *pictures: Picture,
    source: str = "set",
    place: str = "",
    kind: str = "unknown",
    confidence: float | None = None,
    margin: float | None = None,
) -> PreferencePair:
    return PreferencePair(
        prompt=Prompt(messages=(Message(role="user", content=(*pictures, prompt)),)),
        chosen=Response(content=(chosen,)),
        rejected=Response(content=(rejected,)),
        judgment=Judgment(kind=kind, confidence=confidence, margin=margin),
        origin=Origin(source=source, place=place or f"{source}:{prompt}:{chosen}"),
    )


def drawing(*circles: tuple[int, int, str], size: int = 240) -> Image.Image:
    """Circles of radius 30 at places (x, y) of a picture 240 wide, in colours."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    for x, y, colour in circles:
        box = [(x - 30) * size / 240, (y - 30) * size / 240]
        draw.ellipse([*box, box[0] + size / 4, box[1] + size / 4], outline=colour, width=4)
    return image


def saved(image: Image.Image, path: Path, **options: object) -> Picture:
    """The picture in a file, whose ending says the format."""
    buffer = io.BytesIO()
    image.save(buffer, {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[path.suffix], **options)
    path.write_bytes(buffer.getvalue())
    return admit(path)


def run(
    pairs: Sequence[PreferencePair],
    folder: Path,
    *steps: Step,
    embedder: Embedder | None = None,
) -> Curated:
    """What the steps make of the pairs, read in the order given."""
    read = read_in([("set", pairs)], folder / "read")
    assert not read.refused
    bench = Bench(folder=folder, embedder=embedder or HashedEmbedder())
    with Progress() as progress:
        return curate(rows_of(folder / "read"), steps=steps, bench=bench, progress=progress)


def reasons(entries: Sequence[Entry]) -> dict[str, str]:
    """Why each place's row was dropped."""
    return {entry.place: entry.reason for entry in entries}
