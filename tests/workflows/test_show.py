"""How the ledger of a finished run names rows, and what `vlreward show` says of them."""

import pytest

from tests.sources.making import write_rows
from tests.workflows.sets import row
from vlreward.curation import ledger
from vlreward.errors import DataError
from vlreward.recipes.curation import first_stage
from vlreward.workflows.curate import curate_sets
from vlreward.workflows.show import show_pair


def curated(output, *files):
    """The folder of the set that the first stage makes of the files."""
    return curate_sets(first_stage(data=list(map(str, files)), output=str(output)), command=[])


@pytest.fixture
def places(tmp_path):
    """Two curated sources: what is in the second is a copy, a paraphrase, and in doubt."""
    first = [
        row("a1", "Is a whale a fish?", "No.", "Yes.", images=[], confidence=1.0),
        row("a2", "How many legs has a bee?", "Six.", "Four.", images=[], label_type="human"),
        row("a3", "Empty?", " ", images=[]),
    ]
    second = [
        row("b1", "Is a whale a fish?", "No.", "Yes.", images=[], confidence=0.9),
        row("b2", "Please: how many legs has a bee?", "Six.", "Four.", images=[]),
        row("b3", "Is 9 a prime?", "No.", "Yes.", images=[], confidence=0.5),
    ]
    files = [
        write_rows(tmp_path / f"{name}.jsonl", *rows)
        for name, rows in (("first", first), ("second", second))
    ]
    curated(tmp_path / "run", *files)
    return {
        f"{name}{number}": f"{file}:{number}"
        for name, file in zip("ab", files, strict=True)
        for number in (1, 2, 3)
    }


@pytest.fixture
def run(tmp_path, places):
    return tmp_path / "run"


@pytest.fixture
def ids(run):
    """The ids of dropped pairs by the ids of their rows."""
    return {one.row_id: one for one in ledger.read(run / "set" / "ledger.parquet")}


def test_of_a_pair_with_a_dropped_copy_it_says_both_by_any_of_its_names(run, places, ids):
    named = ids["b1"].id
    said = (
        f"{named} is in the set: from first, row a1; label_type unknown, confidence 1.0.\n"
        f"The copy in second, {places['b1']} was dropped: drop-identical dropped it as identical."
    )
    for wanted in (named, "a1", "b1", places["a1"], places["b1"]):
        assert show_pair(wanted, run) == said


def test_a_kept_pair_names_what_it_stands_for_by_any_of_its_names(run, places, ids):
    gone = ids["b2"]
    said = (
        f"{gone.because} is in the set: from first, row a2; label_type human.\n"
        f"It stands for {gone.id} ({places['b2']}), dropped by drop-similar as similar."
    )
    for wanted in (gone.because, "a2", places["a2"]):
        assert show_pair(wanted, run) == show_pair(wanted, run / "set") == said


def test_a_dropped_pair_and_a_row_that_is_none_say_by_which_step_and_why(run, places, ids):
    gone, unsure = ids["b2"], ids["b3"]
    for wanted in (gone.id, "b2", places["b2"]):
        assert show_pair(wanted, run) == (
            f"{gone.id} of second, {places['b2']}, is not in the set: drop-similar dropped it as "
            f"similar ({gone.detail}); because of {gone.because}."
        )
    assert show_pair("b3", run) == (
        f"{unsure.id} of second, {places['b3']}, is not in the set: drop-ambiguous dropped it as "
        "low-confidence (confidence 0.50)."
    )
    assert show_pair(places["a3"], run) == (
        f"A row of first, {places['a3']}, is not in the set: read dropped it as answer-empty "
        f"({ids['a3'].detail})."
    )


def test_what_the_run_never_met_is_refused(run, tmp_path):
    with pytest.raises(DataError, match="pair-unknown"):
        show_pair("z9", run)
    with pytest.raises(DataError, match="ledger-missing"):
        show_pair("a1", tmp_path)


@pytest.mark.parametrize("named", [{}, {"source": "own"}])
def test_refused_and_dropped_rows_of_a_source_have_its_one_name(tmp_path, named):
    rows = [
        row("kept", "Is 7 a prime?", images=[]),
        row("torn", "Empty?", " ", images=[]),
        row("unsure", "Is 9 a prime?", images=[], confidence=0.5),
    ]
    folder = tmp_path / "set: v2 (id 5)"
    folder.mkdir()
    data = write_rows(folder / "rows.jsonl", *({**one, **named} for one in rows))
    refused, dropped = ledger.read(curated(tmp_path / "run", data) / "ledger.parquet")
    assert refused.source == dropped.source == named.get("source", "rows")
    assert (refused.place, refused.row_id) == (f"{data}:2", "torn")
    assert refused.detail.startswith("chosen: white space or nothing; expected an answer")
    assert dropped.place == f"{data}:3"


@pytest.mark.parametrize("name", ["ledger.parquet", "data/train-00000.parquet"])
def test_a_damaged_set_is_refused(tmp_path, name):
    data = write_rows(tmp_path / "first.jsonl", row("a1", "Why?", "So.", "No.", images=[]))
    folder = curated(tmp_path / "run", data)
    (folder / name).write_text("x")
    with pytest.raises(DataError, match="folder-damaged"):
        show_pair("a1", tmp_path / "run")


def test_a_run_and_its_set_are_sources_too(tmp_path):
    data = write_rows(tmp_path / "first.jsonl", row("a1", "Why?", "So.", "No.", images=[]))
    folder = curated(tmp_path / "run", data)
    for number, source in enumerate((folder, folder.parent, folder / "data")):
        again = curated(tmp_path / str(number), source)
        assert ledger.read(again / "ledger.parquet") == []
        assert "is in the set" in show_pair("a1", again)
