"""Shares and agreement, against figures that their authors published."""

from __future__ import annotations

import pytest

from vlreward.statistics import krippendorff_alpha, wilson_interval


@pytest.mark.parametrize(
    ("num_right", "num_all", "low", "high"),
    [
        # Newcombe 1998, table I (method 3), and its mirror images.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (182, 263, 0.6338, 0.7447),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_interval_is_wilsons(num_right: int, num_all: int, low: float, high: float) -> None:
    assert wilson_interval(num_right, num_all) == pytest.approx((low, high), abs=5e-5)


# Krippendorff 2011, section C: what four observers said of twelve units.
UNITS = ["111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"]


def test_agreement_is_krippendorffs_alpha() -> None:
    assert krippendorff_alpha(UNITS) == pytest.approx(0.743, abs=5e-4)


def test_judges_who_always_agree_or_never_do_stand_at_the_ends() -> None:
    assert krippendorff_alpha(["AA", "BBB"]) == 1
    assert krippendorff_alpha(["AB"] * 50) == pytest.approx(-0.98)


@pytest.mark.parametrize("units", [[], ["A", "B"], ["AA", "A"]])
def test_where_nobody_could_disagree_there_is_no_agreement_to_tell(units: list[str]) -> None:
    assert krippendorff_alpha(units) is None
