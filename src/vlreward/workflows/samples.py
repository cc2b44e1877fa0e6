"""Some validation pairs with pictures, both answers and what the trained model gives for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nsmallest
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from vlreward.durable import write_text_atomically
from vlreward.errors import VlrewardError
from vlreward.pictures import PictureStore
from vlreward.records import PreferencePair
from vlreward.scoring import RewardModel
from vlreward.sources.read import read_preferences
from vlreward.training.config import TrainConfig
from vlreward.training.shortcuts import blind
from vlreward.workflows.pages import content, conversation, escape, page, table

SAMPLES = "samples.html"
_NUM_SAMPLES = 24


class Sample(NamedTuple):
    """A pair with the rewards of its chosen and its rejected response."""

    pair: PreferencePair
    chosen: float
    rejected: float

    @property
    def margin(self) -> float:
        """By how much the chosen response is ahead."""
        return self.chosen - self.rejected


def write_samples(config: TrainConfig, model: RewardModel) -> Path | None:
    """Writes `samples.html` into the run's folder, the worst ordered first; gives its path.

    The pairs are the same ones whatever the model: those with the smallest ids; blind where the
    training was. None without validation pairs that can be scored.
    """
    samples = score_samples(config, model)
    if not samples:
        return None
    path = Path(config.output) / SAMPLES
    write_text_atomically(path, _page(samples))
    return path


def score_samples(config: TrainConfig, model: RewardModel) -> list[Sample]:
    """The samples, those with the smallest margin first."""
    store = PictureStore(Path(config.output).absolute() / "pictures")
    rows = chain.from_iterable(read_preferences(one, store=store) for one in config.validation)
    pairs = (one for one in rows if isinstance(one, PreferencePair))
    chosen = nsmallest(_NUM_SAMPLES, pairs, key=lambda pair: pair.id)
    if config.blind:
        chosen = [blind(pair) for pair in chosen]
    scores = model.score_each((one.prompt, [one.chosen, one.rejected]) for one in chosen)
    samples = [
        Sample(pair, found[0].value, found[1].value)
        for pair, found in zip(chosen, scores, strict=True)
        if not isinstance(found, VlrewardError)
    ]
    return sorted(samples, key=lambda sample: sample.margin)


def _page(samples: Sequence[Sample]) -> str:
    num_right = sum(sample.margin > 0 for sample in samples)
    rows = (
        [str(number), f"{one.chosen:+.3f}", f"{one.rejected:+.3f}", f"{one.margin:+.3f}"]
        for number, one in enumerate(samples, start=1)
    )
    sections = [
        "<h1>Samples of the validation pairs</h1>",
        f"<p>{num_right} of {len(samples)} are ordered rightly; the worst come first. Always the "
        "same pairs, not a measurement: that is in metrics.json.</p>",
        table(["pair", "chosen", "rejected", "margin"], rows),
    ]
    for number, sample in enumerate(samples, start=1):
        sections += _shown(number, sample)
    return page("Samples", sections)


def _shown(number: int, sample: Sample) -> Iterator[str]:
    pair = sample.pair
    known = [text for text in (pair.origin.source, pair.origin.task) if text]
    yield f"<h3>{number}. {escape(' / '.join(known))}</h3>{conversation(pair.prompt)}"
    sides = (("chosen", sample.chosen, pair.chosen), ("rejected", sample.rejected, pair.rejected))
    answers = "".join(
        f'<div><div class="reward">{title}: {reward:+.3f}</div>{content(response.content)}</div>'
        for title, reward, response in sides
    )
    yield f'<div class="pair">{answers}</div>'
