"""Planted doubles: how many curation finds, by kind, and how many other rows it drops.

    python benchmarks/duplicates.py [SHARED_DATA] [--encoder FOLDER]

Into the miniature world, and into sets of look-alikes (SHARED_DATA holds blindtest, puzzlevqa and
rewardbench_partial), two sorts of doubles are planted. For `DropIdentical`: exact copies, copies
from another source with other white space, and rows with their answers swapped, which go together
with the row that they contradict. For `DropSimilar`: paraphrases by rule
(`vlreward.world.paraphrases`), a third of some kinds in the answers too, and in these alone where
the question cannot be said so, two thirds with the picture in another format, quality or size.

False are drops of rows that were not planted for rows that they were not planted from. BlindTest
says itself which of its rows show one drawing in several sizes: these count as found, not as false.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.pipeline import Curated, curate
from vlreward.curation.steps import Bench, Step
from vlreward.curation.working_set import read_in, rows_of
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.errors import DataError
from vlreward.interfaces import Embedder
from vlreward.pictures import PictureStore, open_rgb, stored
from vlreward.progress import Progress
from vlreward.records import Origin, Part, Picture, PreferencePair, Prompt
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences
from vlreward.world.paraphrases import KINDS
from vlreward.world.preferences import make_pairs, make_text_pairs

NUM_COPIES = 100
"""Of each kind."""
NUM_PARAPHRASES = 60
"""Of each kind, where so many rows of a set can be said so."""
IN_ANSWERS_TOO = ("typing errors", "short forms", "number words")
SHARED = {
    "blindtest": ("blindtest/pairs.jsonl", ""),
    "puzzlevqa": ("puzzlevqa/pairs.jsonl", ""),
    "LLMBar": ("rewardbench_partial/rewardbench_partial.jsonl", "llmbar"),
    "HumanEvalPack": ("rewardbench_partial/rewardbench_partial.jsonl", "hep"),
}
"""By name of a set its file, and how the names of its rows' subsets begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planting:
    """Plants paraphrases of pairs; pictures go into the store."""

    store: PictureStore
    rng: random.Random

    def plant(self, pair: PreferencePair, kind: str) -> PreferencePair | None:
        """The pair in other words; None if this kind of paraphrase changes nothing of it."""
        last = pair.prompt.messages[-1]
        asked = self._content(last.content, kind)
        says_otherwise = _texts(asked) != _texts(last.content)
        answers = [pair.chosen, pair.rejected]
        if kind in IN_ANSWERS_TOO and (not says_otherwise or self.rng.random() < 1 / 3):
            answers = [replace(one, content=self._content(one.content, kind)) for one in answers]
            says_otherwise |= _texts(answers[0].content) != _texts(pair.chosen.content)
        if not says_otherwise:
            return None
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
    return (stored(one.pair, store) for one in (*made, *texts))


def shared(path: Path, store: PictureStore, *, subset: str) -> Iterator[PreferencePair]:
    """The pairs of a file that can be read and whose subset's name begins so."""
    lines = path.read_text(encoding="utf-8").splitlines()
    subsets = [json.loads(line).get("subset", "") for line in lines]
    for item in read_preferences(SourceConfig(path=str(path)), store=store):
        if not isinstance(item, DataError):
            number = int(item.origin.place.rpartition(":")[2])
            if subsets[number - 1].startswith(subset):
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


def measure_copies(name: str, pairs: Sequence[PreferencePair], *, folder: Path) -> None:
    """Plants copies, runs `DropIdentical`, and prints a line of the table."""
    planted = plant_copies(pairs)
    out = run([*pairs, *planted], folder, DropIdentical(), embedder=HashedEmbedder())
    gone = {entry.place for entry in out.entries}
    total = Counter(pair.origin.source for pair in planted)
    found = Counter(
        pair.origin.source
        for pair in planted
        if gone & {pair.origin.place, str(pair.origin.row_id)}
    )
    touched = {place for pair in planted for place in (pair.origin.place, str(pair.origin.row_id))}
    kinds = (f"{found[kind]}/{total[kind]}" for kind in COPIES)
    cells = (name, len(pairs), *kinds, len(gone - touched))
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


COPIES = ("exact", "another source", "swapped")


def plant_copies(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """Copies of pairs, some of each kind, each of another pair; their `row_id` is its place."""
    rng = random.Random(0)
    chosen = rng.sample(pairs, min(len(pairs), NUM_COPIES * len(COPIES)))
    planted = []
    for number, pair in enumerate(chosen):
        kind = COPIES[number % len(COPIES)]
        copy = pair.swapped() if kind == "swapped" else pair
        if kind == "another source":
            spaced = [
                replace(one, content=tuple(map(_spaced, one.content)))
                for one in (pair.chosen, pair.rejected)
            ]
            copy = replace(pair, chosen=spaced[0], rejected=spaced[1])
        origin = Origin(source=kind, row_id=pair.origin.place, place=f"planted:{number}")
        planted.append(replace(copy, origin=origin))
    return planted


def _spaced(part: Part) -> Part:
    return f" {part}\n" if isinstance(part, str) else part


def measure_paraphrases(
    name: str,
    pairs: Sequence[PreferencePair],
    *,
    embedder: Embedder,
    folder: Path,
    same: Mapping[str, str],
) -> None:
    """Plants paraphrases, runs both steps, and prints a line of the table."""
    planted = plant(pairs, folder=folder)
    started = time.monotonic()
    out = run([*pairs, *planted], folder, DropIdentical(), DropSimilar(), embedder=embedder)
    seconds = time.monotonic() - started
    gone = {str(entry.id): str(entry.because) for entry in out.entries}
    total = Counter(pair.origin.source for pair in planted)
    found = Counter(pair.origin.source for pair in planted if was_found(pair, gone))
    shows = {pair.id: same.get(pair.origin.row_id or "", pair.id) for pair in pairs}
    shows |= {pair.id: shows[str(pair.origin.row_id)] for pair in planted}
    false = sum(shows[one] != shows.get(other, "") for one, other in gone.items())
    kinds = (f"{found[kind]}/{total[kind]}" if total[kind] else "-" for kind in KINDS)
    share = f"{found.total()}/{total.total()} = {found.total() / total.total():.3f}"
    dropped = f"{false} = {false / len(pairs):.2%}"
    cells = (name, embedder.name, len(pairs), *kinds, share, dropped, f"{seconds:.0f}")
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def run(pairs: Sequence[PreferencePair], folder: Path, *steps: Step, embedder: Embedder) -> Curated:
    """What the steps make of the pairs."""
    read_in([("all", pairs)], folder / "read")
    with Progress() as progress:
        return curate(
            rows_of(folder / "read"),
            steps=steps,
            bench=Bench(folder=folder / "work", embedder=embedder),
            progress=progress,
        )


def plant(pairs: Sequence[PreferencePair], *, folder: Path) -> list[PreferencePair]:
    """Paraphrases of some of the pairs, each of the kind that is rarest so far."""
    planting = Planting(store=PictureStore(folder / "planted"), rng=random.Random(0))
    planted: list[PreferencePair] = []
    count = Counter(dict.fromkeys(KINDS, 0))
    for pair in planting.rng.sample(pairs, len(pairs)):
        wanted = [kind for kind in KINDS if count[kind] < NUM_PARAPHRASES]
        for kind in sorted(wanted, key=count.__getitem__):
            made = planting.plant(pair, kind)
            if made:
                planted.append(made)
                count[kind] += 1
                break
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
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = PictureStore(folder / "pictures")
        sets = {"world": (distinct(world(store)), {})}
        if given.data is not None:
            for name, (file, subset) in SHARED.items():
                path = given.data / file
                sets[name] = (distinct(shared(path, store, subset=subset)), layouts(path))
        print(f"| set | rows | {' | '.join(COPIES)} | false drops |")
        print("|---|---|---|---|---|---|")
        for name, (pairs, _) in sets.items():
            measure_copies(name, pairs, folder=folder / "copies" / name)
        print(f"\n| set | embedder | rows | {' | '.join(KINDS)} | all | false drops | seconds |")
        print("|---" * (len(KINDS) + 6) + "|")
        for name, (pairs, same) in sets.items():
            for embedder in embedders:
                where = folder / name / embedder.name
                measure_paraphrases(name, pairs, embedder=embedder, folder=where, same=same)


def distinct(pairs: Iterable[PreferencePair]) -> list[PreferencePair]:
    """Each pair once."""
    return list({pair.id: pair for pair in pairs}.values())


if __name__ == "__main__":
    main()
