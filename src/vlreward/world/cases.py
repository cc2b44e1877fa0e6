"""Two cases after the paper's figures 2 and 3: both answers are right, one is better said.

Figure 2 is a circular sector: sound steps against rambling that corrects itself, with the same
number at the end. Figure 3 is the longest bar of a chart: a concise answer with label and figures
against one that says the same numbers again and again.
"""

from __future__ import annotations

import random
from pathlib import Path

from vlreward.durable import write_bytes_atomically
from vlreward.pictures import admit
from vlreward.records import Judgment, Message, Origin, PreferencePair, Prompt, Response
from vlreward.world.answers import Quality, explain, ramble, repeat
from vlreward.world.families.charts import bar_charts
from vlreward.world.families.geometry import sectors
from vlreward.world.scenes import Answer, Family, Scene, Skill
from vlreward.world.style import draw_style


def make_cases(folder: Path, *, seed: int = 0) -> list[PreferencePair]:
    """The sector's pair and the chart's, their pictures saved in the folder as PNG files."""
    return [
        _case(folder / "sector.png", sectors, "arithmetic", seed=seed, worse="rambling"),
        _case(folder / "longest-bar.png", bar_charts, "comparison", seed=seed, worse="repeating"),
    ]


def _case(
    path: Path,
    family: Family,
    skill: Skill,
    *,
    seed: int,
    worse: Quality,
) -> PreferencePair:
    rng = random.Random(f"case {path.stem} {seed}")
    paint = family(rng)
    scene, other = (paint(rng, draw_style(rng, "seen")) for _ in range(2))
    write_bytes_atomically(path, scene.paintings[0].png)
    text, answer = _asked(scene, skill)
    _, elsewhere = _asked(other, skill)
    said = (
        ramble(answer, first_try=elsewhere, variant=0)
        if worse == "rambling"
        else repeat(answer, variant=0)
    )
    message = Message(role="user", content=(admit(path), text))
    return PreferencePair(
        prompt=Prompt(messages=(message,)),
        chosen=Response(content=(explain(answer, conclusion=answer),), model="world: right"),
        rejected=Response(content=(said,), model=f"world: {worse}"),
        judgment=Judgment(kind="template", confidence=1.0),
        origin=Origin(source="world", row_id=path.stem, task="case"),
    )


def _asked(scene: Scene, skill: Skill) -> tuple[str, Answer]:
    question = next(one for one in scene.questions if one.skill == skill)
    return question.text, question.answer
