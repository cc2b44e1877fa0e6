"""Draws small bar charts with random preference pairs, in the formats that both peers read.

    python make_pairs.py peers/data --num-pairs 16 --size 224

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


def make_pair(rng: random.Random, *, image: str) -> Pair:
    """Return a pair with a question of 12 words or so and answers of 8 to 40."""
    return Pair(
        image=image,
        question=random_words(rng, low=8, high=16) + "?",
        chosen=random_words(rng, low=8, high=40),
        rejected=random_words(rng, low=8, high=40),
    )


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


def write_pairs(folder: Path, *, num_pairs: int, size: int, seed: int) -> None:
    """Write the pictures and both files; the same arguments give the same bytes of text."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    pairs = []
    for index in range(num_pairs):
        pair = make_pair(rng, image=f"{index}.png")
        draw_chart(rng, size=size).save(folder / pair.image)
        pairs.append(pair)
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
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_pairs(options.folder, num_pairs=options.num_pairs, size=options.size, seed=options.seed)


if __name__ == "__main__":
    main()
