"""The run's curves as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from vlreward.runs import Event
from vlreward.training.plots import draw_curves


def event(kind: str, **fields: Any) -> Event:
    return Event(number=0, time=0.0, kind=kind, fields=fields)


STEPS = [event("step", step=step, loss=1 / step, accuracy=0.5) for step in range(1, 20)]


def test_the_curves_are_a_png_of_readable_size(tmp_path: Path) -> None:
    validation = event("validation", step=10, overall={"loss": 0.5, "accuracy": 0.7})
    stages = [event("stage", step=0), event("stage", step=10)]
    draw_curves([stages[0], *STEPS, validation, stages[1]], tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert image.size == (1200, 480)
        assert len(image.convert("RGB").getcolors(maxcolors=2**20) or []) > 10


def test_before_the_first_step_there_is_nothing_to_draw(tmp_path: Path) -> None:
    draw_curves([event("started")], tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_not_finite_can_be_drawn(tmp_path: Path) -> None:
    broken = [
        event("step", step=20, loss="nan", accuracy=0.0),
        event("validation", step=20, overall={"loss": "inf", "accuracy": 0.0}),
    ]
    draw_curves([*STEPS, *broken], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
