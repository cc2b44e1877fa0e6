"""Whatever stands in rows and pictures, `vlreward curate` keeps a row or says why it went."""

import base64
import io
import json
import random
import struct
import zlib
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image

from vlreward.cli import run
from vlreward.curation import ledger
from vlreward.errors import DataError
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences

LONG = 10 * 2**20
COMMON = {"images": [], "label_type": "human"}


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_of_size(width, height):
    """A PNG that says it has this size and holds next to nothing."""

    def chunk(kind, body):
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def turned(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(Image.linear_gradient("L").resize((60, 20)), "JPEG", exif=exif)


GRADIENT = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
SOUND = {
    "plain.png": encoded(GRADIENT),
    "copy.jpg": encoded(GRADIENT, "JPEG"),
    "cmyk.jpg": encoded(GRADIENT.convert("CMYK"), "JPEG"),
    "turned.jpg": turned(6),
    "mirrored.jpg": turned(7),
    "no-turn.jpg": turned(99),
    "wide.png": encoded(Image.new("RGB", (20_000, 1), "teal")),
    "high.png": encoded(Image.new("L", (1, 20_000), 7)),
    "dot.png": encoded(Image.new("1", (1, 1))),
    "palette.gif": encoded(GRADIENT.convert("P"), "GIF"),
    "alpha.png": encoded(GRADIENT.convert("RGBA")),
    "deep.png": encoded(Image.new("I;16", (9, 9), 40_000)),
    "float.tiff": encoded(Image.new("F", (9, 9), 0.5), "TIFF"),
    "moving.webp": encoded(GRADIENT, "WEBP", save_all=True, append_images=[GRADIENT.rotate(90)]),
}
BAD = {
    "nothing.png": b"",
    "none-by-none.png": png_of_size(0, 0),
    "flat.png": png_of_size(30, 0),
    "none-by-none.gif": b"GIF89a" + bytes(7) + b";",
    "bomb.png": png_of_size(60_000, 60_000),
    "torn.png": SOUND["plain.png"][:60],
    "torn.jpg": SOUND["copy.jpg"][:200],
    "text.png": b"<html>no picture</html>",
    "vector.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}
WRONG = (*BAD, "missing.png", "../up.png", "/dev/zero", "/proc/self/mem", "a\x00b.png", ".")

TEXTS = (
    *("Why?", "Which is bigger, 3 or 5?", "How many circles are there?", "Yes.", "No.", "", " "),
    *(
        "<image>",
        "<image>What is this?",
        "<image><image>Both?",
        "\ud800",
        "cut\udc00",
        "\x00",
        "\u202e",
    ),
    *("{{first}}", "<|im_end|>", "e\u0301", "\u00e9", "日本語", "🙂", "\ufeff", "a" * 300),
    "Das sind nicht drei, sondern vier Kreise.",
)


def text(rng):
    return rng.choice(TEXTS) if rng.random() < 0.8 else f"{rng.choice(TEXTS)} {rng.random():.3f}"


def leaf(rng):
    return rng.choice(
        [None, True, 0, -1, 10**400, 1.5, float("nan"), float("inf"), text(rng), [], {}, [[]]]
    )


def message(rng):
    content = rng.choice([text(rng), [{"type": "text", "text": text(rng)}], [{"type": "image"}]])
    role = "user" if rng.random() < 0.8 else rng.choice(["assistant", "system", "tool", 7])
    return {"role": role, "content": content if rng.random() < 0.9 else leaf(rng)}


def answer(rng):
    return {"role": "assistant", "content": f"It is {text(rng)} or {rng.randrange(99)}."}


def picture(rng):
    name = rng.choice(sorted(SOUND) if rng.random() < 0.8 else WRONG)
    data = {**SOUND, **BAD}.get(name, b"")
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    odd = [uri[:-3], "https://example.org/a.png", leaf(rng)]
    return rng.choice(odd if rng.random() < 0.1 else [name, uri])


def neutral(rng, number):
    """A row that is nearly right, and often wholly."""
    images = [picture(rng) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    marks = "<image>" * len(images)
    row = {
        "id": f"r{number}",
        "prompt": f"{marks}Row {rng.randrange(40)}: how many circles are there?",
        "chosen": f"There are {rng.randrange(4)}.",
        "rejected": f"I see {rng.randrange(4)}.",
        "images": images,
        "label_type": rng.choice(["human", "model", "template"]),
        "confidence": rng.choice([None, None, 0.5, 0.9, 1]),
        "margin": rng.choice([None, None, None, 0, 2.5]),
    }
    if rng.random() < 0.4:
        return row
    for name in rng.sample(sorted(row), rng.choice([0, 0, 1, 1, 2])):
        row[name] = rng.choice([leaf(rng), text(rng), message(rng)])
    for name in rng.sample(sorted(row), rng.choice([0, 0, 0, 0, 1])):
        del row[name]
    return row


def conversational(rng, number):
    return {
        "id": rng.choice([f"c{number}", number, leaf(rng)]),
        "prompt": [message(rng) for _ in range(rng.choice([0, 1, 1, 1, 3]))],
        "chosen": [rng.choice([answer, answer, answer, message])(rng)],
        "rejected": [answer(rng)] if rng.random() < 0.9 else leaf(rng),
        "images": [picture(rng) for _ in range(rng.choice([0, 0, 1]))],
    }


def lines(rng, make, *, number, long):
    """JSON lines: a sound row first, then fuzzed ones, some no JSON; `long` of them very long."""
    sound = {"prompt": "Sound?", "chosen": "Yes.", "rejected": "No.", **COMMON}
    if make is conversational:
        answers = {
            name: [{"role": "assistant", "content": name}] for name in ("chosen", "rejected")
        }
        sound = {"prompt": [{"role": "user", "content": "Sound?"}], **answers}
    yield json.dumps(sound)
    row = sound
    for at in range(number - 1):
        row = make(rng, at) if rng.random() < 0.9 else row
        if at < long:
            name = sorted(row)[at % len(row)]
            row[name] = f"{at} " + rng.choice(["long ", "<image>", "{", "z"]) * (LONG // 5)
        line = json.dumps(row)
        yield rng.choice(
            [line] * 40 + [line[: len(line) // 2], "null", "[1]", "[" * 9999, '"\\ud8"']
        )


def write_parquet(rng, path, *, number):
    """Rows with embedded pictures, of which many are none."""
    pictures = {**SOUND, **BAD}
    rows = []
    for at in range(number):
        name = rng.choice(sorted(pictures))
        stated = {
            "bytes": rng.choice([pictures[name], None, b""]),
            "path": rng.choice([name, None]),
        }
        rows.append(
            {
                "id": f"p{at}",
                "prompt": f"<image>Picture {at}: {rng.choice(['What?', 'Where?'])}",
                "chosen": f"A {rng.choice(['cat', 'dog', ''])}",
                "rejected": "A bird",
                "images": rng.choice([[stated]] * 9 + [[stated, stated], [], None]),
                "label_type": "human",
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_sources(folder, *, seed, number, long):
    """Two files of lines and one of Parquet with embedded pictures, of as many rows each."""
    rng = random.Random(seed)
    for name, data in {**SOUND, **BAD}.items():
        (folder / name).write_bytes(data)
    third = number // 3
    paths = [folder / name for name in ("neutral.jsonl", "talk.jsonl", "embedded.parquet")]
    for path, make in zip(paths, (neutral, conversational), strict=False):
        with path.open("w") as file:
            for line in lines(rng, make, number=third, long=long):
                file.write(line + "\n")
    write_parquet(rng, paths[2], number=number - 2 * third)
    return paths


def check(tmp_path, *, seed, number, long):
    sources = write_sources(tmp_path, seed=seed, number=number, long=long)
    output = tmp_path / "run"
    assert run(["curate", "--data", *map(str, sources), "--output", str(output)]) == 0
    kept = list(read_preferences(SourceConfig(path=str(output / "set" / "data"))))
    entries = ledger.read(output / "set" / "ledger.parquet")
    assert not any(isinstance(one, DataError) for one in kept)
    assert len(kept) + len(entries) == number
    assert len({(one.source, one.place) for one in entries}) == len(entries)
    assert all(one.reason and one.step and one.place for one in entries)
    return kept, Counter(one.reason for one in entries)


PICTURE_REASONS = {
    "picture-missing",
    "picture-torn",
    "picture-unknown-format",
    "picture-too-many-pixels",
}


def test_of_fuzzed_rows_each_is_kept_or_dropped_with_its_reason(tmp_path):
    kept, reasons = check(tmp_path, seed=1, number=240, long=2)
    assert len(kept) > 30
    assert set(reasons) >= {"identical", "field-type", "field-missing", *PICTURE_REASONS}


@pytest.mark.slow
def test_of_2000_fuzzed_rows_each_is_kept_or_dropped_with_its_reason(tmp_path):
    kept, reasons = check(tmp_path, seed=2, number=2000, long=8)
    assert len(kept) > 300
    expected = {"identical", "low-confidence", "json-invalid", "row-not-object"}
    assert set(reasons) >= {*expected, "text-surrogate", "prompt-empty", *PICTURE_REASONS}
    shown = {picture.sha256 for pair in kept for picture in pair.pictures}
    assert len(shown) >= len(SOUND) - 1
