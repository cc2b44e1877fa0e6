"""The card of a curated set: what is in it, what was dropped on the way, and examples of that."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlreward import markdown
from vlreward.curation.ledger import Entry, counts
from vlreward.curation.pipeline import Passed
from vlreward.curation.steps import Exhibit
from vlreward.durable import write_bytes_atomically
from vlreward.plotting import png_bytes

_CARD = """\
---
task_categories: [visual-question-answering, text-generation]
tags: [vlreward, preference, reward-model]
configs:
- config_name: default
  data_files: data/*.parquet
  description: content {digest}
---

# {title}

Preference pairs, {num_kept} left of {origin}, curated by:

    {command}

Each row has a prompt, a chosen and a rejected answer in messages, its pictures where the set has
any, and where it is from. `ledger.parquet` says of every other row why it is not here.

## What is in it

{contents}

{exhibits}## What was dropped

![rows after each step](funnel.png)

{dropped}

## Examples of what was dropped

{examples}
"""

_SHOWN = 120
_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What the card tells of a pair."""

    source: str
    has_pictures: bool
    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Funnel:
    """How many rows were read, were no pairs, were added by steps, and were left after each."""

    num_read: int
    num_refused: int
    passed: Mapping[str, Passed]

    @property
    def left(self) -> dict[str, int]:
        """Rows after reading and after each step."""
        steps = {name: one.num_left for name, one in self.passed.items()}
        return {"read as pairs": self.num_read - self.num_refused, **steps}

    @property
    def num_added(self) -> int:
        """Rows that steps made."""
        return sum(one.num_added for one in self.passed.values())

    @property
    def num_kept(self) -> int:
        """Rows that stay."""
        return list(self.left.values())[-1]


def card(
    *,
    title: str,
    digest: str,
    command: Sequence[str],
    funnel: Funnel,
    kept: Iterable[Content],
    exhibits: Sequence[Exhibit],
    entries: Sequence[Entry],
    texts: Mapping[str, Content],
) -> str:
    """The card as Markdown; `texts` are pairs by id, for the examples.

    `digest` tells the content from all others: `datasets` takes two local folders of one name whose
    cards configure the same for one data set, and gives what it read first.
    """
    return _CARD.format(
        title=title,
        digest=digest,
        num_kept=funnel.num_kept,
        origin=_origin(funnel),
        command=shlex.join(command),
        contents=_contents(kept),
        exhibits=_exhibits(exhibits),
        dropped=_dropped(funnel, entries),
        examples=_examples(entries, texts) or "Nothing was dropped.",
    )


def examples_of(entries: Sequence[Entry]) -> list[Entry]:
    """The first three entries of each step and reason."""
    shown: Counter[tuple[str, str]] = Counter()
    found = []
    for entry in entries:
        key = (entry.step, entry.reason)
        if shown[key] < _EXAMPLES:
            shown[key] += 1
            found.append(entry)
    return found


def draw_funnel(funnel: Funnel, path: Path) -> None:
    """Writes a PNG with a bar for what was read and one for what each step left."""
    from matplotlib.figure import Figure

    names = ["in the files", *funnel.left]
    numbers = [funnel.num_read, *funnel.left.values()]
    figure = Figure(figsize=(8, 0.6 + 0.5 * len(names)), dpi=120, layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names, numbers, color=["#b8c4d6", *["#1f4e9c"] * len(funnel.left)])
    axes.bar_label(bars, labels=[f" {number:,}" for number in numbers])
    axes.invert_yaxis()
    axes.set_xlim(0, max(1, max(numbers)) * 1.12)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    write_bytes_atomically(path, png_bytes(figure))


def _origin(funnel: Funnel) -> str:
    read = f"{funnel.num_read} rows that were read"
    return f"{read} and {funnel.num_added} that steps made" if funnel.num_added else read


def _exhibits(exhibits: Sequence[Exhibit]) -> str:
    parts = []
    for one in exhibits:
        plot = f"\n\n![{one.title}]({one.plot.name})" if one.plot else ""
        parts.append(f"## {one.title}\n\n{one.text}{plot}\n\n")
    return "".join(parts)


def _contents(kept: Iterable[Content]) -> str:
    counted: dict[str, Counter[bool]] = {}
    for one in kept:
        counted.setdefault(one.source, Counter())[one.has_pictures] += 1
    total = sum(sum(found.values()) for found in counted.values())
    ordered = sorted(counted.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    rows = [
        (source, found[True], found[False], f"{sum(found.values()) / total:.1%}")
        for source, found in ordered
    ]
    pictured, text_only = (sum(found[kind] for _, found in ordered) for kind in (True, False))
    whole = ("all", pictured, text_only, f"{1 if total else 0:.0%}")
    return markdown.table(["source", "with pictures", "text only", "share"], [*rows, whole])


def _dropped(funnel: Funnel, entries: Sequence[Entry]) -> str:
    rows = [
        (step, reason, number, f"{number / funnel.num_read:.1%}")
        for step, reason, number in counts(entries)
    ]
    return markdown.table(["step", "reason", "rows", "share of all read"], rows)


def _examples(entries: Sequence[Entry], texts: Mapping[str, Content]) -> str:
    parts = []
    for entry in examples_of(entries):
        place, why = markdown.escape(entry.place), markdown.escape(_short(entry.detail))
        lines = [f"- **{entry.step}, {entry.reason}** ({place}) {why}".rstrip()]
        lines += [f"    - {line}" for line in _text(texts.get(entry.id or ""))]
        if entry.because in texts and entry.because is not None:
            lines += [f"    - in its stead: {line}" for line in _text(texts[entry.because])]
        elif entry.because is not None:
            lines.append(f"    - because of {markdown.escape(entry.because)}")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _text(content: Content | None) -> list[str]:
    if content is None:
        return []
    prompt, chosen, rejected = map(_short, (content.prompt, content.chosen, content.rejected))
    return [f"`{prompt}` chosen `{chosen}` rejected `{rejected}`"]


def _short(text: str) -> str:
    even = " ".join(text.replace("`", "'").split())
    return even if len(even) <= _SHOWN else f"{even[:_SHOWN]}…"
