"""The quick start as a command: it trains, measures, shows cases, and finished says so again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from vlreward.scoring import RewardModel
from vlreward.workflows.demo import run_demo
from vlreward.world.cases import make_cases
from vlreward.world.families.shapes import single_shapes
from vlreward.world.style import draw_style
from vlreward.world.wording import sentence


def test_the_demo_leaves_a_model_a_report_and_figures_and_may_be_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    for _ in range(2):
        run_demo(
            folder,
            command=["vlreward", "demo"],
            num_pictures=51,
            num_text_pairs=12,
            num_exam_pictures=51,
            num_exam_text_pairs=24,
        )
        shown = capsys.readouterr().out
        assert "share ordered rightly" in shown
        for case in make_cases(tmp_path / "cases"):
            assert case.chosen.text in shown and case.rejected.text in shown
            assert f"{case.origin.row_id}.png" in shown
    found = json.loads((folder / "exam.json").read_text())
    assert found["multimodal"]["seen"]["num_pairs"] > 50
    assert found["text"]["seen"]["num_pairs"] == 24
    assert "Two cases" in (folder / "report.html").read_text()
    rewards = RewardModel.load(folder / "model").score(
        "Which is the longest bar?", ["A.", "B."], images=[folder / "cases" / "longest-bar.png"]
    )
    assert len(rewards) == 2


def test_the_shipped_model_scores_rightly_after_installation(tmp_path: Path) -> None:
    rng = random.Random("shipped")
    paint = single_shapes(rng)
    scenes = [paint(rng, draw_style(rng, "seen")) for _ in range(8)]
    model = RewardModel.load("miniature")
    right = asked = 0
    for number, scene in enumerate(scenes):
        (tmp_path / f"{number}.png").write_bytes(scene.paintings[0].png)
        colour = scene.questions[0]
        others = {one.questions[0].answer.value for one in scenes} - {colour.answer.value}
        scores = model.score(
            colour.text,
            [sentence(one) for one in (colour.answer.value, *sorted(others))],
            images=[tmp_path / f"{number}.png"],
        )
        asked += 1
        right += scores[0] == max(scores)
    assert right >= asked - 1
