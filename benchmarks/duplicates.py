"""Planted duplicates: how many `DropSimilar` finds, by kind, and how many other rows it drops.

    python benchmarks/duplicates.py [SHARED_DATA] [--encoder FOLDER]

Into the miniature world, and into sets of look-alikes (SHARED_DATA holds blindtest, puzzlevqa and
rewardbench_partial), paraphrases by rule are planted (`vlreward.world.paraphrases`), a third of
them in the answers too, two thirds with the picture in another format, quality or size. False are
drops of rows that were not planted for rows that they were not planted from. BlindTest says itself
which of its rows show one drawing in several sizes: these count as found, not as false.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.pipeline import curate
from vlreward.curation.steps import Bench
from vlreward.curation.working_set import read_in, rows_of
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.errors import DataError
from vlreward.interfaces import Embedder
from vlreward.pictures import PictureStore, open_rgb
from vlreward.progress import Progress
from vlreward.records import Message, Origin, Part, Picture, PreferencePair, Prompt
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences
from vlreward.world.paraphrases import KINDS
from vlreward.world.preferences import make_pairs, make_text_pairs

NUM_PLANTED = 400
IN_ANSWERS_TOO = ("typing errors", "short forms", "number words")
SHARED = {
    "blindtest": "blindtest/pairs.jsonl",
    "puzzlevqa": "puzzlevqa/pairs.jsonl",
    "LLMBar and HumanEvalPack": "rewardbench_partial/rewardbench_partial.jsonl",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Planting:
    """Plants paraphrases of pairs; pictures go into the store."""

    store: PictureStore
    rng: random.Random

    def plant(self, pair: PreferencePair, kind: str) -> PreferencePair | None:
        """The pair in other words; None if this kind of paraphrase changes nothing of it."""
        last = pair.prompt.messages[-1]
        asked = self._content(last.content, kind)
        if _texts(asked) == _texts(last.content):
            return None
        in_answers = kind in IN_ANSWERS_TOO and self.rng.random() < 1 / 3
        answers = [
            replace(one, content=self._content(one.content, kind)) if in_answers else one
            for one in (pair.chosen, pair.rejected)
        ]
        return replace(
            pair,
            prompt=Prompt(messages=(*pair.prompt.messages[:-1], replace(last, content=asked))),
            chosen=answers[0],
            rejected=answers[1],
            origin=Origin(source=kind, row_id=pair.id, place=f"planted:{pair.id}:{kind}"),
        )

    def _content(self, content: Sequence[Part], kind: str) -> tuple[Part, ...]:
        return tuple(
            self._copy(part)
            if isinstance(part, Picture)
            else KINDS[kind](part.strip(), self.rng)
            if part.strip()
            else part
            for part in content
        )

    def _copy(self, picture: Picture) -> Picture:
        """The picture itself, or one in another format, quality or size."""
        how = self.rng.choice(("same", "jpeg", "webp", "smaller", "larger", "same"))
        if how == "same":
            return picture
        image = open_rgb(picture)
        if how in ("smaller", "larger"):
            scale = 0.7 if how == "smaller" else 1.5
            size = (max(8, round(image.width * scale)), max(8, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, {"jpeg": "JPEG", "webp": "WEBP"}.get(how, "PNG"), quality=85)
        return self.store.add(buffer.getvalue())


def _texts(content: Sequence[Part]) -> list[str]:
    return [part.strip() for part in content if isinstance(part, str)]


def world(store: PictureStore) -> Iterator[PreferencePair]:
    """Pairs of the world, pictures in the store."""
    made = make_pairs(num_pictures=700, seed=5, split="train")
    texts = make_text_pairs(num_pairs=600, seed=5, split="train")
    for one in (*made, *texts):
        messages = tuple(
            Message(role=message.role, content=tuple(_stored(message.content, store)))
            for message in one.pair.prompt.messages
        )
        yield replace(one.pair, prompt=Prompt(messages=messages))


def _stored(content: Sequence[Part], store: PictureStore) -> Iterator[Part]:
    for part in content:
        yield store.add(part.data) if isinstance(part, Picture) and part.data else part


def shared(path: Path, store: PictureStore) -> Iterator[PreferencePair]:
    """The pairs of a file that can be read."""
    for item in read_preferences(SourceConfig(path=str(path)), store=store):
        if not isinstance(item, DataError):
            yield item


def layouts(path: Path) -> dict[str, str]:
    """By row id, what blindtest says that the row shows and asks; empty for other sets."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        layout = (row.get("meta") or {}).get("layout_group")
        if layout:
            found[row["id"]] = repr((layout, row["prompt"], row["chosen"], row["rejected"]))
    return found


def measure(
    name: str,
    pairs: Sequence[PreferencePair],
    *,
    embedder: Embedder,
    folder: Path,
    same: Mapping[str, str],
) -> None:
    """Plants, drops, and prints a line of the table."""
    distinct = list({pair.id: pair for pair in pairs}.values())
    planted = plant(distinct, folder=folder)
    read_in([("all", [*distinct, *planted])], folder / "read")
    started = time.monotonic()
    with Progress() as progress:
        out = curate(
            rows_of(folder / "read"),
            steps=[DropIdentical(), DropSimilar()],
            bench=Bench(folder=folder / "work", embedder=embedder),
            progress=progress,
        )
    seconds = time.monotonic() - started
    gone = {str(entry.id): str(entry.because) for entry in out.entries}
    total = Counter(pair.origin.source for pair in planted)
    found = Counter(pair.origin.source for pair in planted if was_found(pair, gone))
    shows = {pair.id: same.get(pair.origin.row_id or "", pair.id) for pair in distinct}
    shows |= {pair.id: shows[str(pair.origin.row_id)] for pair in planted}
    false = sum(shows[one] != shows.get(other, "") for one, other in gone.items())
    recall = f"{sum(found.values())}/{sum(total.values())} = {found.total() / total.total():.3f}"
    kinds = "; ".join(f"{kind} {found[kind]}/{total[kind]}" for kind in sorted(total))
    dropped = f"{false} = {false / len(distinct):.2%}"
    cells = (name, embedder.name, len(distinct), recall, dropped, f"{seconds:.0f}", kinds)
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def plant(pairs: Sequence[PreferencePair], *, folder: Path) -> list[PreferencePair]:
    """Paraphrases of some of the pairs, each of a random kind of those that change its prompt."""
    planting = Planting(store=PictureStore(folder / "planted"), rng=random.Random(0))
    planted = []
    for pair in planting.rng.sample(pairs, min(len(pairs), NUM_PLANTED)):
        kinds = planting.rng.sample(list(KINDS), len(KINDS))
        made = next(filter(None, (planting.plant(pair, kind) for kind in kinds)), None)
        planted += [made] if made else []
    return planted


def was_found(planted: PreferencePair, gone: Mapping[str, str]) -> bool:
    """Whether the pair and the one it was planted from are one now: either, or a third."""
    original = str(planted.origin.row_id)
    stands = {gone.get(one, one) for one in (planted.id, original)}
    return len(stands) == 1


def main() -> None:
    """Runs all sets that are there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--encoder", help="a sentence encoder's folder or name")
    given = parser.parse_args()
    embedders: list[Embedder] = [HashedEmbedder()]
    if given.encoder:
        from vlreward.modeling.sentence_encoder import SentenceEncoder

        embedders.append(SentenceEncoder.load(given.encoder))
    print("| set | embedder | rows | planted and found | false drops | seconds | by kind |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        store = PictureStore(Path(temporary) / "pictures")
        sets = {"world": (list(world(store)), {})}
        for name, file in SHARED.items():
            if given.data is not None:
                path = given.data / file
                sets[name] = (list(shared(path, store)), layouts(path))
        for number, (name, embedder) in enumerate(
            (name, embedder) for name in sets for embedder in embedders
        ):
            pairs, same = sets[name]
            folder = Path(temporary) / str(number)
            measure(name, pairs, embedder=embedder, folder=folder, same=same)


if __name__ == "__main__":
    main()
