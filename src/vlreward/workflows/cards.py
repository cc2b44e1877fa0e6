"""Model cards of the miniature models: what they are, what they were measured to do, how to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vlreward import markdown
from vlreward.workflows.world_exam import HEADINGS, ExamResult

_BASE = """\
---
license: apache-2.0
pipeline_tag: image-text-to-text
tags: [vlreward, qwen2_5_vl]
---

# miniature-base

A Qwen2.5-VL of about seven million parameters that sees and answers questions about vlreward's
miniature world: drawn shapes, lines, charts, tables and figures. It is what vlreward's miniature
reward models are trained from, and good for nothing else: it knows no photographs and hardly any
English.

It was trained from scratch on nothing but that world: first to name what is drawn where, then, with
the vision encoder as it was, to answer questions:

    {command}

## Questions it answers

Unseen pictures in the look of training; an answer counts if it is exactly the right one. Intervals
are Wilson's at 95 %.

{table}
"""

_REWARD = """\
---
license: apache-2.0
tags: [vlreward, reward-model, qwen2_5_vl]
---

# miniature

A reward model for answers about vlreward's miniature world: given a picture, a question and an
answer, one number that says how good the answer is. It was trained from `miniature-base` in the
stages of the Skywork-VL Reward paper (multimodal pairs, then text too; the vision encoder frozen):

    {command}

## Pairs it orders rightly

Unseen pairs, two answers each. "Unseen look" are palettes, fonts and line widths never drawn for
training; "pictures shuffled" is the control, where each question is shown another picture. Families
hold the pairs that the picture decides; where the text may decide too, stands "right over …".

{table}

## How to use it

    from vlreward import RewardModel

    model = RewardModel.load("this folder")
    model.score("Which colour is the shape?", ["Red.", "Blue."], images=["shape.png"])

Its rewards compare answers to one question. It knows no photographs and hardly any English.
"""


def base_card(validation: Mapping[str, Any], *, command: Sequence[str]) -> str:
    """From the last validation of a base model's run."""
    groups = [
        ("all", validation["overall"]),
        *((f"all of {name}", found) for name, found in validation["skills"].items()),
        *validation["tasks"].items(),
    ]
    rows = []
    for name, found in groups:
        low, high = found["interval"]
        said = f"{found['accuracy']:.3f} [{low:.3f}, {high:.3f}]"
        rows.append((name, found["num_questions"], said))
    table = markdown.table(["questions", "number", "answered [95 %]"], rows)
    return _BASE.format(command=" ".join(command), table=table)


def reward_card(result: ExamResult, *, command: Sequence[str]) -> str:
    """From an exam."""
    table = markdown.table(HEADINGS, [row.cells for row in result.rows])
    return _REWARD.format(command=" ".join(command), table=table)
