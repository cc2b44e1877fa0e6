"""`vlreward miniature curate`: all stages of curation on the miniature world, planted faults in it.

The models that are asked are the stand-in endpoint's, over HTTP, so that a run with real ones can
be rehearsed; what should be found is known row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from vlreward.curation import ledger
from vlreward.curation.ledger import Entry
from vlreward.durable import write_json_atomically
from vlreward.errors import require
from vlreward.recipes.curation import miniature_curation
from vlreward.runs import only_writer
from vlreward.sources.write import write_parquet
from vlreward.training.validation import Share
from vlreward.workflows.curate import curate_sets
from vlreward.workflows.miniature import is_drawn
from vlreward.world.catalogue import FAMILIES
from vlreward.world.endpoint.config import RoleConfig, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.planting import ORIGINAL, FaultShares, PlantedPair, plant
from vlreward.world.preferences import make_pairs, make_text_pairs
from vlreward.world.topics import Split

_STEPS_ON_DOUBLES = ("drop-identical", "drop-similar")
_JUDGE = RoleConfig(error_rate=0.05, input_price=2.5, output_price=10.0)
_WRITER = RoleConfig(error_rate=0.1, input_price=2.5, output_price=10.0)


class Found(NamedTuple):
    """How many rows of a fault the ledger has, by reason of their drop; `share` of all."""

    fault: str
    share: Share
    reasons: Mapping[str, int]


def curate_miniature(
    output: Path,
    *,
    num_pictures: int,
    num_text_pairs: int,
    seed: int,
    port: int,
    command: Sequence[str],
) -> Path:
    """Draws a set with faults, curates it in all stages and tells what was found of the faults.

    The pictures are none that the shipped reward model, from which the surrogate begins, was
    trained on. Run again, it resumes. Returns the folder of the curated set.
    """
    require(num_pictures >= 1, place="num_pictures", value=num_pictures, expected="1 or more")
    require(num_text_pairs >= 0, place="num_text_pairs", value=num_text_pairs, expected="0 or more")
    drawn = {"num_pictures": num_pictures, "num_text_pairs": num_text_pairs, "seed": seed}
    planted = plant_world(
        num_pictures=num_pictures, num_text_pairs=num_text_pairs, seed=seed, split="val"
    )
    with only_writer(output):
        files = write_planted(planted, output / "data", drawn=drawn)
    with WorldEndpoint(truth_of(planted), endpoint_config(port=port)) as endpoint:
        config = miniature_curation(data=files, output=str(output), base_url=endpoint.base_url)
        folder = curate_sets(config, command=command)
    found = what_was_found(planted, ledger.read(folder / "ledger.parquet"))
    write_json_atomically(
        output / "found.json",
        {
            one.fault: {
                "num_rows": one.share.num_all,
                "share": one.share.accuracy,
                "interval": one.share.interval,
                "reasons": one.reasons,
            }
            for one in found
        },
    )
    show_found(found, Console())
    return folder


def plant_world(
    *,
    num_pictures: int,
    num_text_pairs: int,
    seed: int,
    split: Split = "train",
    families: Sequence[str] = tuple(FAMILIES),
    shares: FaultShares | None = None,
) -> list[PlantedPair]:
    """Pairs of the world with faults in their shares."""
    pairs = make_pairs(num_pictures=num_pictures, seed=seed, split=split, families=families)
    texts = make_text_pairs(num_pairs=num_text_pairs, seed=seed, split=split)
    return list(plant(chain(pairs, texts), shares=shares or FaultShares(), seed=seed))


def truth_of(planted: Iterable[PlantedPair]) -> WorldTruth:
    """What the endpoint's models know: every question, and how good every answer is."""
    return WorldTruth(one.known for one in planted)


def endpoint_config(*, port: int) -> WorldEndpointConfig:
    """Models that err as good ones do, at the prices of good ones."""
    return WorldEndpointConfig(
        judge=_JUDGE,
        vlm=_WRITER,
        describer=_WRITER,
        reasoner=_WRITER,
        judge_errors="call",
        port=port,
    )


def write_planted(
    planted: Sequence[PlantedPair], folder: Path, *, drawn: Mapping[str, int]
) -> list[str]:
    """A Parquet file for each source; returns their paths."""
    names = sorted({one.pair.origin.source for one in planted})
    files = {name: folder / f"{name}.parquet" for name in names}
    if not is_drawn(folder / "drawn.json", drawn):
        for name, path in files.items():
            write_parquet((p.pair for p in planted if p.pair.origin.source == name), path)
        write_json_atomically(folder / "drawn.json", dict(drawn))
    return [str(path) for path in files.values()]


def what_was_found(planted: Iterable[PlantedPair], entries: Iterable[Entry]) -> list[Found]:
    """Of each fault, which share of its rows was dropped or changed.

    A double counts as found if it went, or the row that it repeats went as a double.
    """
    entries = list(entries)
    gone = {(one.source, one.row_id): one.reason for one in entries}
    repeated = {one.row_id: one.reason for one in entries if one.step in _STEPS_ON_DOUBLES}
    reasons: dict[str, Counter[str]] = {}
    outcomes: dict[str, list[bool]] = {}
    for one in planted:
        origin = one.pair.origin
        reason = gone.get((origin.source, origin.row_id))
        if reason is None and origin.source != ORIGINAL:
            reason = repeated.get(origin.row_id)
        outcomes.setdefault(one.fault, []).append(reason is not None)
        if reason is not None:
            reasons.setdefault(one.fault, Counter())[reason] += 1
    return [
        Found(fault, Share.of(found), dict(reasons.get(fault, Counter()).most_common()))
        for fault, found in sorted(outcomes.items())
    ]


def show_found(found: Sequence[Found], console: Console) -> None:
    """Prints what became of the planted faults, and of the rows without any."""
    table = Table(title="Rows dropped or changed, by planted fault, with 95 % intervals")
    for heading in ("fault", "rows", "dropped or changed", "reasons"):
        table.add_column(heading, justify="left" if heading in ("fault", "reasons") else "right")
    for one in found:
        said = ", ".join(f"{reason} {number}" for reason, number in one.reasons.items())
        table.add_row(one.fault, str(one.share.num_all), str(one.share), said)
    console.print(table)
