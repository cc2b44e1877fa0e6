"""Draws small bar charts with random preference pairs, in the formats that both peers read.

    python make_pairs.py peers/data --num-pairs 16 --size 224
    python make_pairs.py peers/data8 --num-pairs 28 --answers 8 --words 30 90

writes `<n>.png`, `pairs.json` with `dataset_info.json` (LLaMA-Factory, sharegpt with ranking),
`swift.jsonl` (ms-swift, whose picture paths are absolute because it resolves them against the
folder it runs in) and `rows.json` (published_recipe.py: chosen, rejected, chosen, ... and one row
without a picture at the end). The words mean nothing: the rows test agreement, not quality.
"""

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

WORDS = (
    "the a chart bar column value total region north south east west sales cost year month rose "
    "fell stayed higher lower than before after most least about percent because while each both"
).split()
NUM_BARS = 5


@dataclass(frozen=True)
class Pair:
    """One question about one picture with two answers; `image` is a file name in the folder."""

    image: str
    question: str
    chosen: str
    rejected: str


def draw_chart(rng: random.Random, *, size: int) -> Image.Image:
    """Return a square RGB picture of `size` pixels with bars of random height and colour."""
    picture = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(picture)
    width = size // NUM_BARS
    for bar in range(NUM_BARS):
        top = rng.randint(10, size - 20)
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        draw.rectangle((bar * width + 4, top, (bar + 1) * width - 4, size), fill=colour)
    return picture


def random_words(rng: random.Random, *, low: int, high: int) -> str:
    """Return between `low` and `high` random words, both included."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def make_pairs(
    rng: random.Random, *, image: str, num_answers: int, low: int, high: int
) -> list[Pair]:
    """Return a question of 12 words or so, its first answer preferred to each of the others."""
    question = random_words(rng, low=8, high=16) + "?"
    chosen, *rejected = (random_words(rng, low=low, high=high) for _ in range(num_answers))
    return [Pair(image=image, question=question, chosen=chosen, rejected=one) for one in rejected]


def llamafactory_row(pair: Pair) -> dict[str, object]:
    """Return the pair as LLaMA-Factory's sharegpt format with ranking has it."""
    return {
        "conversations": [{"from": "human", "value": f"<image>{pair.question}"}],
        "chosen": {"from": "gpt", "value": pair.chosen},
        "rejected": {"from": "gpt", "value": pair.rejected},
        "images": [pair.image],
    }


def swift_row(pair: Pair, *, folder: Path) -> dict[str, object]:
    """Return the pair as ms-swift's RLHF format has it."""
    return {
        "messages": [
            {"role": "user", "content": f"<image>{pair.question}"},
            {"role": "assistant", "content": pair.chosen},
        ],
        "rejected_response": pair.rejected,
        "images": [str(folder.resolve() / pair.image)],
    }


def recipe_rows(pairs: list[Pair]) -> list[dict[str, object]]:
    """Return every answer as a row of its own, then the first again without its picture."""
    rows: list[dict[str, object]] = [
        {"prompt": pair.question, "response": answer, "image": pair.image}
        for pair in pairs
        for answer in (pair.chosen, pair.rejected)
    ]
    return [*rows, {**rows[0], "image": None}]


DATASET_INFO = {
    "pairs": {
        "file_name": "pairs.json",
        "ranking": True,
        "formatting": "sharegpt",
        "columns": {
            "messages": "conversations",
            "chosen": "chosen",
            "rejected": "rejected",
            "images": "images",
        },
    }
}


def draw_pairs(
    folder: Path,
    *,
    num_pairs: int,
    size: int,
    num_answers: int,
    words: tuple[int, int],
    seed: int,
) -> list[Pair]:
    """Save the pictures and return the pairs; the same arguments give the same words."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    pairs: list[Pair] = []
    while len(pairs) < num_pairs:
        image = f"{len(pairs)}.png"
        low, high = words
        pairs += make_pairs(rng, image=image, num_answers=num_answers, low=low, high=high)
        draw_chart(rng, size=size).save(folder / image)
    return pairs[:num_pairs]


def write_pairs(folder: Path, pairs: list[Pair]) -> None:
    """Write both peers' files and the recipe's."""
    rows = [llamafactory_row(pair) for pair in pairs]
    (folder / "pairs.json").write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "dataset_info.json").write_text(json.dumps(DATASET_INFO, indent=1) + "\n")
    (folder / "rows.json").write_text(json.dumps(recipe_rows(pairs), indent=1) + "\n")
    lines = [json.dumps(swift_row(pair, folder=folder)) + "\n" for pair in pairs]
    (folder / "swift.jsonl").write_text("".join(lines))


def main() -> None:
    """Read the command line and write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num-pairs", type=int, default=16)
    parser.add_argument("--size", type=int, default=224, help="side of a picture in pixels")
    parser.add_argument("--answers", type=int, default=2, help="of each question, 2 or more")
    parser.add_argument("--words", type=int, nargs=2, default=(8, 40), help="of an answer")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs = draw_pairs(
        options.folder,
        num_pairs=options.num_pairs,
        size=options.size,
        num_answers=options.answers,
        words=tuple(options.words),
        seed=options.seed,
    )
    write_pairs(options.folder, pairs)


if __name__ == "__main__":
    main()
