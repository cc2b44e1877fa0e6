from collections import Counter

import pytest

from tests.curation.making import drawing, pair, run, saved
from vlreward.curation.mix import Mix
from vlreward.curation.working_set import pairs_of
from vlreward.errors import ConfigError


@pytest.fixture
def rows(tmp_path):
    """Sixty rows of a with pictures, thirty of b without, ten of c of either kind."""
    shown = saved(drawing((80, 80, "red")), tmp_path / "red.png")
    return [
        *(pair(f"a {n}?", "Yes.", "No.", shown, source="a") for n in range(60)),
        *(pair(f"b {n}?", "Yes.", "No.", source="b") for n in range(30)),
        *(pair(f"c {n}?", "Yes.", "No.", *([shown] * (n % 2)), source="c") for n in range(10)),
    ]


def mixed(rows, folder, **settings):
    """What is left by source, and by whether there are pictures; the exhibit; the kept ids."""
    out = run(rows, folder, Mix(**settings))
    assert {one.reason for one in out.entries} <= {"over-cap"}
    kept = list(pairs_of(out.rows))
    assert len(kept) + len(out.entries) == len(rows)
    sources = Counter(one.origin.source for one in kept)
    pictures = Counter("picture" if one.has_pictures else "text" for one in kept)
    return sources, pictures, out.exhibits[0].text, {one.id for one in kept}


def test_a_size_alone_keeps_the_mixture_about_as_it_is(tmp_path, rows):
    sources, _, text, _ = mixed(rows, tmp_path, max_rows=50)
    assert sources.total() == 50 and 20 <= sources["a"] <= 40 and sources["c"] >= 1
    assert f"| source a | 60 |  | {sources['a']} | {sources['a'] / 50:.1%} |" in text


def test_no_source_has_more_than_its_share_or_its_rows(tmp_path, rows):
    sources, *_ = mixed(rows, tmp_path, max_rows=50, max_source_share=0.4)
    assert sources.total() == 50 and sources["a"] <= 20 and sources["b"] <= 20
    sources, *_ = mixed(rows, tmp_path / "rows", max_source_rows={"a": 5, "c": 100})
    assert sources == {"a": 5, "b": 30, "c": 10}


def test_a_share_of_less_than_a_row_is_one_row(tmp_path, rows):
    sources, *_ = mixed(rows, tmp_path, max_rows=50, max_source_share=0.01)
    assert sources == {"a": 1, "b": 1, "c": 1}


def test_modalities_have_their_shares_of_the_size(tmp_path, rows):
    _, pictures, text, _ = mixed(
        rows, tmp_path, max_rows=40, modality_shares={"picture": 0.7, "text": 0.3}
    )
    assert pictures == {"picture": 28, "text": 12} and "wanted" not in text


def test_without_a_size_the_set_is_the_largest_with_the_shares(tmp_path, rows):
    _, pictures, _, _ = mixed(rows, tmp_path, modality_shares={"picture": 0.5, "text": 0.5})
    assert pictures == {"picture": 35, "text": 35}
    _, pictures, _, _ = mixed(rows, tmp_path / "all", modality_shares={"picture": 1, "text": 0})
    assert pictures == {"picture": 65}


def test_a_target_that_cannot_be_met_is_filled_as_far_as_rows_reach_and_says_so(tmp_path, rows):
    _, pictures, text, _ = mixed(
        rows, tmp_path, max_rows=90, modality_shares={"picture": 0.4, "text": 0.6}
    )
    assert pictures == {"picture": 36, "text": 35}
    assert "Text: 54 rows were wanted, 35 were to be had." in text
    assert "All: 90 rows were wanted, 71 were to be had." in text


def test_the_seed_alone_decides_which_rows_stay(tmp_path, rows):
    one, again, other = (
        mixed(given, tmp_path / name, max_rows=50, seed=seed)[-1]
        for name, given, seed in (("1", rows, 0), ("2", rows[::-1], 0), ("3", rows, 1))
    )
    assert one == again != other


def test_an_empty_set_is_mixed_too(tmp_path):
    assert mixed([], tmp_path, modality_shares={"picture": 0.5, "text": 0.5})[0] == {}


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, "mix"),
        ({"max_rows": 0}, "max_rows"),
        ({"max_source_share": 0.0}, "max_source_share"),
        ({"max_source_rows": {"a": 0}}, "max_source_rows.a"),
        ({"modality_shares": {"picture": 0.7}}, "modality_shares"),
        ({"modality_shares": {"picture": 0.7, "text": 0.7}}, "modality_shares"),
    ],
)
def test_limits_that_cannot_be_are_refused(settings, place):
    with pytest.raises(ConfigError) as caught:
        Mix(**settings)
    assert caught.value.place == place
