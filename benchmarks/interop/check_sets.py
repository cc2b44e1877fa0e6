"""Holds what other tools' loaders made of curated sets against the sets themselves.

    python check_sets.py --peers peers

Needs what the README's commands make in the peers folder: the curated sets `mixed` and `texts`,
`loaded_lf.json`, `loaded_sw.json` and `loaded_trl.json`. Every row's text must be the pair's in the
chat template's words, and every picture must have come out with the proportions of the pair's. It
prints the rows of each loader, and ends with exit code 1 if one differs or is missing. Run it with
the interpreter that has vlreward.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from vlreward.records import Message, Picture, PreferencePair
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import load_preferences

DEFAULT_SYSTEM = "You are a helpful assistant."
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
PADS = re.compile(r"(?:<\|image_pad\|>)+")
EXPORTS = {"LLaMA-Factory": "loaded_lf.json", "ms-swift": "loaded_sw.json"}


@dataclass(frozen=True)
class Finding:
    """What a loader made of a set: its rows, and how the first one differs that does."""

    name: str
    num_rows: int
    num_pictures: int
    num_different: int
    first: str = ""

    def __str__(self) -> str:
        """One line of the report, and the first difference below it."""
        said = f"{self.num_rows} rows, {self.num_pictures} pictures"
        return f"{self.name}: {said}, {self.num_different} different{self.first}"


def pairs_of(folder: Path) -> list[PreferencePair]:
    """Return a published set's pairs in its order."""
    loaded = load_preferences([SourceConfig(path=str(folder / "data"))])
    assert not loaded.refused
    return loaded.pairs


def render(messages: Sequence[Message], *, system: str | None = None) -> str:
    """Return messages as Qwen's chat template writes them, each picture as one pad."""
    text = ""
    if system is not None and messages[0].role != "system":
        text = f"<|im_start|>system\n{system}<|im_end|>\n"
    for message in messages:
        content = "".join(PICTURE if isinstance(p, Picture) else p for p in message.content)
        text += f"<|im_start|>{message.role}\n{content}<|im_end|>\n"
    return text


def conversation(pair: PreferencePair, side: str, *, system: str | None) -> str:
    """Return a pair's prompt with one of its answers."""
    answer = Message(role="assistant", content=getattr(pair, side).content)
    return render((*pair.prompt.messages, answer), system=system)


def differences(
    pair: PreferencePair | None, row: dict[str, Any] | None, *, system: str | None
) -> Iterator[str]:
    """Yield how a loaded row differs from the pair that it was."""
    if pair is None or row is None:
        yield "a row too many" if pair is None else f"{pair.id} is missing"
        return
    for side in ("chosen", "rejected"):
        wanted = conversation(pair, side, system=system)
        got = PADS.sub("<|image_pad|>", row.get("prompt", "") + row[side])
        if got != wanted:
            yield f"{pair.id}, {side}:\n    {wanted!r}\n    {got!r}"
    pictures = list(pair.pictures)
    if len(pictures) != len(row["grids"]):
        yield f"{pair.id}: {len(pictures)} pictures, {len(row['grids'])} came out"
    for picture, (_, high, wide) in zip(pictures, row["grids"], strict=False):
        if abs(high - wide * picture.height / picture.width) > 2 + 2 * high / wide:
            yield f"{pair.id}: {picture.width}x{picture.height} became {wide}x{high} patches"


def compare(
    name: str,
    pairs: Sequence[PreferencePair],
    rows: Sequence[dict[str, Any]],
    *,
    system: str | None = DEFAULT_SYSTEM,
) -> Finding:
    """Return what a loader's rows, in the order of the pairs, differ in."""
    found = [
        next(differences(pair, row, system=system), "") for pair, row in zip_longest(pairs, rows)
    ]
    different = [one for one in found if one]
    return Finding(
        name=name,
        num_rows=len(rows),
        num_pictures=sum(len(row["grids"]) for row in rows),
        num_different=len(different),
        first=f"\n  {different[0]}" if different else "",
    )


def find_all(peers: Path) -> Iterator[Finding]:
    """Yield what each loader made of its set."""
    mixed = pairs_of(peers / "mixed" / "set")
    for name, loaded in EXPORTS.items():
        yield compare(f"{name}'s loader", mixed, json.loads((peers / loaded).read_text()))
    trl = json.loads((peers / "loaded_trl.json").read_text())
    yield compare("TRL's collator for vision, pictures and texts", mixed, trl["mixed"])
    texts = pairs_of(peers / "texts" / "set")
    yield compare("TRL's preparation, texts", texts, trl["texts"], system=None)


def main() -> None:
    """Print what each loader made of its set; exit code 1 if a row differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", type=Path, default=Path("peers"))
    findings = []
    for finding in find_all(parser.parse_args().peers.resolve()):
        print(finding, flush=True)
        findings.append(finding)
    sys.exit(any(finding.num_different for finding in findings))


if __name__ == "__main__":
    main()
