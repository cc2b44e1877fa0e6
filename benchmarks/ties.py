"""Planted ties: how many `DropAmbiguous` finds, and how many other rows it drops.

    python benchmarks/ties.py

Rows are pairs about the truth of the miniature world. Stated ties say so themselves: a margin of 0,
one vote of two, four votes of seven. Silent ones have two right answers in other forms and
say nothing of their judges; a judge model is asked about them over HTTP, in both orders: the
world's stand-in endpoint, with three shares of pairs about which it is wrong, and in the last line
with errors that each call makes for itself.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vlreward.curation.calls import Calls
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.ledger import Entry
from vlreward.curation.pipeline import curate
from vlreward.curation.steps import Bench
from vlreward.curation.working_set import read_in, rows_of
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.generation.config import EndpointConfig
from vlreward.generation.journal import ReplyJournal
from vlreward.pictures import PictureStore, stored
from vlreward.progress import Progress
from vlreward.records import Judgment, Origin, PreferencePair, Response
from vlreward.world.answers import forms_of, write
from vlreward.world.endpoint.config import RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.preferences import WorldPair, make_pairs

NUM_ROWS = 1_200
NUM_TIES = 200
STATED = {
    "margin 0": Judgment(kind="model", margin=0.0),
    "one vote of two": Judgment(kind="human", confidence=0.5),
    "four votes of seven": Judgment(kind="human", confidence=4 / 7),
}
SURE = (
    Judgment(kind="model", margin=1.0),
    Judgment(kind="human", confidence=2 / 3),
    Judgment(kind="human", confidence=1.0),
)


def rows(world: Sequence[WorldPair], store: PictureStore) -> list[PreferencePair]:
    """Pairs about truth, pictures in the store, their place saying what they are."""
    rng = random.Random(0)
    usable = [one for one in world if one.asked and one.chosen == "right"]
    usable = [one for one in usable if one.rejected == "wrong"]
    made = []
    for number, one in enumerate(rng.sample(usable, min(NUM_ROWS, len(usable)))):
        pair = stored(one.pair, store)
        kind = "clear"
        if number < NUM_TIES and (other := in_another_form(one)):
            kind, pair = "tie", replace(pair, rejected=Response(content=(other,)))
        made.append(replace(pair, origin=Origin(source="world", place=f"{kind}:{number}")))
    return made


def in_another_form(one: WorldPair) -> str | None:
    """The right answer in other words than the chosen one's, where it has any."""
    assert one.asked is not None
    answer = one.asked.question.answer
    texts = [write(answer, form, instead=answer, variant=0) for form in forms_of(answer)]
    return next((text for text in texts if text != one.pair.chosen.text), None)


def stated(pairs: Sequence[PreferencePair]) -> Iterator[PreferencePair]:
    """The same pairs with judgments of their own; every fourth one's is a tie."""
    ties = list(STATED.items())
    for number, pair in enumerate(pairs):
        kind, judgment = ties[number // 4 % len(ties)]
        if number % 4:
            kind, judgment = "clear", SURE[number % len(SURE)]
        origin = replace(pair.origin, place=f"{kind}:{number}")
        yield replace(pair, judgment=judgment, origin=origin)


def entries(
    pairs: Sequence[PreferencePair], folder: Path, *, endpoint: WorldEndpoint | None = None
) -> list[Entry]:
    """What the step drops."""
    read_in([("world", pairs)], folder / "read")
    judge = None
    if endpoint is not None:
        judge = EndpointConfig(
            base_url=endpoint.base_url,
            model="world-judge",
            max_concurrency=8,
            dollars_per_million_input_tokens=0.0,
            dollars_per_million_output_tokens=0.0,
            max_output_tokens=100,
        )
    with ReplyJournal(folder / "replies.sqlite") as journal, Progress() as progress:
        bench = Bench(
            folder=folder / "work", embedder=HashedEmbedder(), calls=Calls(journal=journal)
        )
        steps = [DropAmbiguous(judge=judge)]
        return curate(rows_of(folder / "read"), steps=steps, bench=bench, progress=progress).entries


def report(name: str, pairs: Sequence[PreferencePair], dropped: Sequence[Entry]) -> None:
    """Prints a line for each kind of tie, and what else was dropped."""
    kind_of = {pair.origin.place: pair.origin.place.partition(":")[0] for pair in pairs}
    total, found = Counter(kind_of.values()), Counter(kind_of[one.place] for one in dropped)
    num_clear = total.pop("clear")
    false = f"{found['clear']}/{num_clear} = {found['clear'] / num_clear:.2%}"
    for kind, number in sorted(total.items()):
        share = f"{found[kind]}/{number} = {found[kind] / number:.3f}"
        print(f"| {name} | {kind} | {share} | {false} |", flush=True)


def main() -> None:
    """Runs the stated and the silent ties."""
    world = list(make_pairs(num_pictures=1_200, seed=11, split="train"))
    print("| ties | kind | found | other rows dropped |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pairs = rows(world, PictureStore(folder / "pictures"))
        said = list(stated(pairs))
        report("stated by the row", said, entries(said, folder / "stated"))
        silent = [replace(pair, judgment=Judgment(kind="model")) for pair in pairs]
        truth = WorldTruth(world)
        for rate, how in ((0.0, "pair"), (0.05, "pair"), (0.1, "pair"), (0.1, "call")):
            config = WorldEndpointConfig(judge=RoleConfig(error_rate=rate), judge_errors=how)
            with WorldEndpoint(truth, config) as endpoint:
                dropped = entries(silent, folder / f"{rate}{how}", endpoint=endpoint)
            report(f"judged, wrong about {rate:.0%} of the {how}s", silent, dropped)


if __name__ == "__main__":
    main()
