"""Model cards say what was measured, and by which command."""

from __future__ import annotations

from tests.workflows.examining import EXAM, KnowsAnswers
from vlreward.workflows.cards import base_card, reward_card

COMMAND = ["vlreward", "miniature", "base", "--output", "runs/base"]


def test_a_base_models_card_has_every_family_and_skill() -> None:
    def found(accuracy: float) -> dict[str, object]:
        return {"num_questions": 40, "accuracy": accuracy, "interval": [0.5, 0.75]}

    card = base_card(
        {
            "overall": found(0.625),
            "skills": {"counting": found(0.25)},
            "tasks": {"counting": found(0.125)},
        },
        command=COMMAND,
    )
    assert "| all | 40 | 0.625 [0.500, 0.750] |" in card
    assert "| all of counting | 40 | 0.250" in card and "| counting | 40 | 0.125" in card
    assert "    vlreward miniature base --output runs/base\n" in card


def test_a_reward_models_card_has_every_group_of_the_exam() -> None:
    result = EXAM.take(KnowsAnswers())
    card = reward_card(result, command=COMMAND)
    for row in result.rows:
        assert f"| {row.name} | {row.num_pairs} | 1.000 [" in card
    assert card.startswith("---\nlicense: apache-2.0\n")
