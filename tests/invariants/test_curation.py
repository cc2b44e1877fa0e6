"""Laws of curation, whatever the sets are: nothing is lost, once is enough, the order of sources
counts for nothing, and whoever went for another's sake went for one that stayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.curation.making import drawing, pair, saved
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.ledger import Entry
from vlreward.curation.pipeline import Curated, curate
from vlreward.curation.steps import Bench
from vlreward.curation.working_set import pairs_of, read_in, rows_of
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.progress import Progress
from vlreward.records import Picture, PreferencePair

STEPS = (DropIdentical(), DropSimilar(), DropAmbiguous())
PROMPTS = (
    "How many circles are there?",
    "How many circles are  there? ",
    "Please tell me how many circles are there?",
    "How many squares are there?",
    "Is a whale a fish?",
    "Tell me: is a whale a fish?",
)
ANSWERS = (
    "Three.",
    "There are three.",
    "Five.",
    "No, it is a mammal.",
    "No; it is a mammal.",
    "Yes.",
)

Sets = list[list[PreferencePair]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    """One drawing in two files, and another drawing."""
    folder = tmp_path_factory.mktemp("pictures")
    one, other = drawing((80, 80, "red")), drawing((80, 80, "red"), (160, 160, "blue"))
    return [
        saved(one, folder / "one.png"),
        saved(one, folder / "one.jpg", quality=90),
        saved(other, folder / "other.png"),
    ]


@st.composite
def sets(draw: st.DrawFn) -> list[list[tuple[object, ...]]]:
    """One to three sets of rows, few enough in content that they meet."""
    row = st.tuples(
        st.sampled_from(PROMPTS),
        st.sampled_from(ANSWERS),
        st.sampled_from(ANSWERS),
        st.sampled_from([None, None, 0, 1, 2]),
        st.sampled_from(["human", "model", "unknown"]),
        st.sampled_from([None, None, 0.5, 1.0]),
        st.sampled_from([None, None, 0.0, 1.0]),
    )
    return draw(st.lists(st.lists(row, max_size=10), min_size=1, max_size=3))


def made(rows: Sequence[Sequence[tuple[object, ...]]], pictures: Sequence[Picture]) -> Sets:
    """The pairs of the sets, each with a place of its own."""
    return [
        [
            pair(
                str(prompt),
                str(chosen),
                str(rejected),
                *([] if shown is None else [pictures[int(str(shown))]]),
                source=f"set{number}",
                place=f"set{number}:{at}",
                kind=str(kind),
                confidence=confidence,  # type: ignore[arg-type]
                margin=margin,  # type: ignore[arg-type]
            )
            for at, (prompt, chosen, rejected, shown, kind, confidence, margin) in enumerate(one)
        ]
        for number, one in enumerate(rows)
    ]


def run(found: Sets, folder: Path) -> tuple[Curated, list[PreferencePair]]:
    """What curation makes of the sets, read in their order, and the pairs that stay."""
    read = read_in([(f"set{number}", one) for number, one in enumerate(found)], folder / "read")
    assert not read.refused and read.num_read == sum(map(len, found))
    bench = Bench(folder=folder, embedder=HashedEmbedder())
    with Progress() as progress:
        curated = curate(rows_of(folder / "read"), steps=STEPS, bench=bench, progress=progress)
    return curated, list(pairs_of(curated.rows))


def places(pairs: Sequence[PreferencePair]) -> list[str]:
    return [one.origin.place for one in pairs]


LAWS = settings(max_examples=12)


@given(rows=sets())
@LAWS
def test_what_is_kept_and_what_is_dropped_is_what_was_read(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[Picture],
    rows: list[list[tuple[object, ...]]],
) -> None:
    found = made(rows, pictures)
    curated, kept = run(found, tmp_path_factory.mktemp("run"))
    dropped = [entry.place for entry in curated.entries]
    assert Counter(places(kept) + dropped) == Counter(places([one for s in found for one in s]))
    by_place = {one.origin.place: one for each in found for one in each}
    assert all(entry.id == by_place[entry.place].id for entry in curated.entries)
    assert all(one == by_place[one.origin.place] for one in kept)


@given(rows=sets())
@LAWS
def test_a_finished_set_goes_through_again_unchanged(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[Picture],
    rows: list[list[tuple[object, ...]]],
) -> None:
    _, kept = run(made(rows, pictures), tmp_path_factory.mktemp("once"))
    again, twice = run([kept], tmp_path_factory.mktemp("twice"))
    assert again.entries == [] and places(twice) == places(kept)


@given(rows=sets())
@LAWS
def test_the_order_of_sources_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[Picture],
    rows: list[list[tuple[object, ...]]],
) -> None:
    found = made(rows, pictures)
    one, kept = run(found, tmp_path_factory.mktemp("one"))
    other, kept_too = run(found[::-1], tmp_path_factory.mktemp("other"))
    assert places(kept) == places(kept_too)
    assert one.entries == other.entries and one.left == other.left


@given(rows=sets())
@LAWS
def test_because_names_a_pair_that_stays_or_went_later_for_its_own_reason(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[Picture],
    rows: list[list[tuple[object, ...]]],
) -> None:
    curated, kept = run(made(rows, pictures), tmp_path_factory.mktemp("run"))
    order = [step.name for step in STEPS]
    stays = {one.id for one in kept}

    def outlives(id: str, entry: Entry) -> bool:
        later = (one for one in curated.entries if order.index(one.step) > order.index(entry.step))
        return id in stays or any(one.id == id for one in later)

    named = [entry for entry in curated.entries if entry.because is not None]
    assert all(outlives(str(entry.because), entry) for entry in named)
    needing = {"identical", "similar", "contradicted"}
    assert {entry.reason for entry in named} <= needing
    assert all(entry in named for entry in curated.entries if entry.reason in needing)
