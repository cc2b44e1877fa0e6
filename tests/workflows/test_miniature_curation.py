"""All stages of curation on a small world with planted faults, over HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vlreward.curation.ledger import Entry
from vlreward.workflows.miniature_curation import (
    curate_miniature,
    plant_world,
    truth_of,
    what_was_found,
)
from vlreward.world.planting import FaultShares


def test_all_stages_run_and_find_what_was_planted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> Path:
        return curate_miniature(
            tmp_path / "run",
            num_pictures=34,
            num_text_pairs=12,
            seed=0,
            port=0,
            command=["vlreward", "miniature", "curate"],
        )

    card = (run() / "README.md").read_text()
    for title in ("Weak pairs by a surrogate", "Reasoning answers, compared", "What was dropped"):
        assert f"## {title}" in card
    assert "simulated" in card and "direct against two-step" in card
    found = json.loads((tmp_path / "run" / "found.json").read_text())
    for fault in ("identical", "swapped", "paraphrase", "tie"):
        assert found[fault]["share"] == 1.0
    assert found["noise"]["share"] > 0.8 and found["none"]["share"] < 0.4
    assert "by planted fault" in capsys.readouterr().out


def test_a_double_is_found_if_either_row_went() -> None:
    planted = plant_world(
        num_pictures=17, num_text_pairs=0, seed=0, shares=FaultShares(noise=0, weak=0, ties=0)
    )
    copy = planted[-1]
    assert copy.pair.origin.source == "world-copies"
    row_id = copy.pair.origin.row_id
    gone = Entry(step="drop-similar", reason="similar", source="world", place="", row_id=row_id)
    share = {one.fault: one.share for one in what_was_found(planted, [gone])}[copy.fault]
    assert share.num_right == 1
    rewritten = replace(gone, step="regenerate-weak", reason="chosen-regenerated")
    share = {one.fault: one.share for one in what_was_found(planted, [rewritten])}[copy.fault]
    assert share.num_right == 0
    assert truth_of(planted).num_pictures >= 17
