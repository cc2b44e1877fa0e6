import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlreward.curation.neighbours import SCALE, Cells, near_pairs, rounded
from vlreward.errors import ConfigError


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clustered(num_rows, num_dimensions, *, seed=0):
    """Rows about centres, near each other and not."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, num_rows // 4), num_dimensions))
    noise = rng.normal(size=(num_rows, num_dimensions)) * rng.uniform(0.1, 1.2, (num_rows, 1))
    return unit(centres[rng.integers(len(centres), size=num_rows)] + noise)


def exact(vectors, low):
    dots = vectors.astype(np.int64) @ vectors.astype(np.int64).T
    first, second = np.nonzero(np.triu(dots >= low * SCALE**2, 1))
    cosines = np.minimum(dots / SCALE**2, 1.0)
    return {(int(a), int(b)): cosines[a, b] for a, b in zip(first, second, strict=True)}


def found(tmp_path, vectors, *, low=0.8, groups=None, cells=None, **settings):
    np.save(tmp_path / "vectors.npy", vectors)
    near = near_pairs(
        np.zeros(len(vectors), dtype=np.int64) if groups is None else groups,
        vectors=tmp_path / "vectors.npy",
        order=np.arange(len(vectors))[::-1] * 7919 % 104729,
        min_similarity=low,
        cells=cells or Cells(),
        **settings,
    )
    return {(one.first, one.second): one.similarity for one in near}


def test_small_groups_are_compared_in_full_and_exactly(tmp_path):
    vectors = rounded(clustered(500, 32))
    expected = exact(vectors, 0.8)
    assert len(expected) > 50 and found(tmp_path, vectors) == expected


def test_no_cosine_is_above_one_though_rounding_lengthens_vectors(tmp_path):
    vectors = np.repeat(rounded(clustered(300, 384)), 2, axis=0)
    lengths = (vectors.astype(np.int64) ** 2).sum(axis=1)
    assert lengths.max() > SCALE**2
    assert max(found(tmp_path, vectors).values()) == 1.0


def test_large_groups_are_cut_into_cells_and_nearly_all_is_found(tmp_path):
    vectors = rounded(clustered(4000, 64))
    expected = exact(vectors, 0.8)
    got = found(tmp_path, vectors)
    assert got.items() <= expected.items()
    assert len(got) >= 0.99 * len(expected) > 200


def test_rows_of_two_groups_are_not_compared(tmp_path):
    vectors = rounded(clustered(300, 16))
    groups = np.arange(300) % 3
    got = found(tmp_path, vectors, groups=groups)
    assert set(got) == {(a, b) for a, b in exact(vectors, 0.8) if a % 3 == b % 3}


def test_with_sides_only_pairs_across_are_found(tmp_path):
    vectors = rounded(clustered(300, 16))
    got = found(tmp_path, vectors, sides=np.arange(300) < 40)
    assert set(got) == {(a, b) for a, b in exact(vectors, 0.8) if a < 40 <= b}


def test_across_sides_no_row_is_left_out_for_nearer_ones(tmp_path):
    rows = np.concatenate([np.ones((1, 8)), np.ones((300, 8)), np.ones((1, 8)) + np.eye(8)[:1]])
    got = found(
        tmp_path,
        rounded(unit(rows)),
        low=0.5,
        cells=Cells(num_neighbours=5),
        sides=np.arange(302) < 1,
    )
    assert set(got) == {(0, other) for other in range(1, 302)}


@pytest.mark.parametrize("num_rows", [2047, 2048, 2049])
def test_where_a_group_becomes_too_large_for_one_cell_nothing_is_lost(tmp_path, num_rows):
    vectors = rounded(np.repeat(clustered(num_rows, 16)[: num_rows // 2 + 1], 2, axis=0)[:num_rows])
    got = found(tmp_path, vectors, low=0.999)
    assert all((at, at + 1) in got for at in range(0, num_rows - 1, 2))


@pytest.mark.parametrize("name", ["per_root", "probes", "num_neighbours"])
def test_cells_without_size_are_refused(name):
    with pytest.raises(ConfigError, match="above 0"):
        Cells(**{name: 0})


def test_of_many_that_are_alike_each_keeps_its_nearest(tmp_path):
    vectors = rounded(unit(np.ones((200, 8)) + np.random.default_rng(0).normal(size=(200, 8)) / 9))
    got = found(tmp_path, vectors, low=0.5, cells=Cells(num_neighbours=5))
    assert 0 < len(got) <= 200 * 5 + 200


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 400), st.integers(0, 2**31))
def test_sums_of_rounded_vectors_are_exact_in_any_order(num_dimensions, seed):
    vectors = rounded(clustered(8, num_dimensions, seed=seed))
    plain = vectors.astype(np.int64) @ vectors.astype(np.int64).T
    shuffled = np.random.default_rng(seed).permutation(num_dimensions)
    dots = vectors[:, shuffled].astype(np.float32) @ vectors[:, shuffled].astype(np.float32).T
    assert (dots.astype(np.int64) == plain).all()


@pytest.mark.parametrize("num_rows", [0, 1])
def test_nobody_is_near_nobody(tmp_path, num_rows):
    assert not found(tmp_path, rounded(np.ones((num_rows, 4)) / 2))
