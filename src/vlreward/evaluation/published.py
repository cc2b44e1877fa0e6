"""Published figures to stand beside ours: tables 3 and 4 of the paper (arXiv 2505.07263).

They are quoted, in per cent, as printed; nothing here was measured by this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

_PAPER = "Skywork-VL Reward, arXiv 2505.07263"


class PublishedRow(NamedTuple):
    """A model's figures in per cent, in the order of the table's columns.

    `word` stands for the model on the command line; see `scorers.lineup`.
    """

    model: str
    size: str
    values: tuple[float, ...]
    word: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """A published table: its figures' names as our benchmark has them, and its groups of rows."""

    benchmark: str
    title: str
    source: str
    figures: tuple[str, ...]
    groups: tuple[tuple[str, tuple[PublishedRow, ...]], ...]

    @property
    def rows(self) -> tuple[PublishedRow, ...]:
        """The rows of all groups."""
        return tuple(row for _, rows in self.groups for row in rows)


VL_REWARDBENCH = PublishedTable(
    benchmark="vl-rewardbench",
    title="VL-RewardBench",
    source=f"{_PAPER}, table 3",
    figures=("general", "hallucination", "reasoning", "overall", "macro"),
    groups=(
        (
            "Proprietary",
            (
                PublishedRow(
                    "Claude-3.5-Sonnet", "–", (43.4, 55.0, 62.3, 55.3, 53.6), "claude-3.5-sonnet"
                ),
                PublishedRow(
                    "Gemini-1.5-Flash", "–", (47.8, 59.6, 58.4, 57.6, 55.3), "gemini-1.5-flash"
                ),
                PublishedRow("GPT-4o", "–", (49.1, 67.6, 70.5, 65.8, 62.4), "gpt-4o"),
                PublishedRow(
                    "Gemini-1.5-Pro", "–", (50.8, 72.5, 64.2, 67.2, 62.5), "gemini-1.5-pro"
                ),
                PublishedRow(
                    "Gemini-2.0-flash-exp",
                    "–",
                    (50.8, 72.6, 70.1, 68.8, 64.5),
                    "gemini-2.0-flash-exp",
                ),
            ),
        ),
        (
            "Open source",
            (
                PublishedRow("Qwen2-VL", "7B", (31.6, 19.1, 51.1, 28.3, 33.9), "qwen2-vl-7b"),
                PublishedRow("MAmmoTH-VL", "8B", (36.0, 40.0, 52.0, 42.2, 42.7), "mammoth-vl-8b"),
                PublishedRow("Qwen2.5-VL", "7B", (43.4, 42.0, 63.0, 48.0, 49.5), "qwen2.5-vl-7b"),
                PublishedRow("InternVL3", "8B", (60.6, 44.0, 62.3, 57.0, 55.6), "internvl3-8b"),
                PublishedRow(
                    "IXC-2.5-Reward", "7B", (80.3, 65.3, 60.4, 66.3, 68.6), "ixc-2.5-reward-7b"
                ),
                PublishedRow("Qwen2-VL", "72B", (38.1, 32.8, 58.0, 39.5, 43.0), "qwen2-vl-72b"),
                PublishedRow("Molmo", "72B", (33.9, 42.3, 54.9, 44.1, 43.7), "molmo-72b"),
                PublishedRow("QVQ", "72B", (41.8, 46.2, 51.2, 46.4, 46.4), "qvq-72b"),
                PublishedRow("Qwen2.5-VL", "72B", (47.8, 46.8, 63.5, 51.6, 52.7), "qwen2.5-vl-72b"),
                PublishedRow("InternVL3", "78B", (67.8, 52.5, 64.5, 63.3, 61.6), "internvl3-78b"),
            ),
        ),
        (
            "The paper's",
            (
                PublishedRow(
                    "Skywork-VL Reward",
                    "7B",
                    (66.0, 80.0, 61.0, 73.1, 69.0),
                    "skywork-vl-reward-7b",
                ),
            ),
        ),
    ),
)

REWARDBENCH = PublishedTable(
    benchmark="rewardbench",
    title="RewardBench",
    source=f"{_PAPER}, table 4",
    figures=("Chat", "Chat Hard", "Safety", "Reasoning", "average"),
    groups=(
        (
            "Language only",
            (
                PublishedRow(
                    "InternLM2-7B-Reward",
                    "7B",
                    (99.2, 69.5, 87.2, 94.5, 87.6),
                    "internlm2-7b-reward",
                ),
                PublishedRow(
                    "Skywork-Reward-Llama3.1",
                    "8B",
                    (95.8, 87.3, 90.8, 96.2, 92.5),
                    "skywork-reward-llama-3.1-8b",
                ),
                PublishedRow(
                    "Skywork-Reward-Llama3.1-v0.2",
                    "8B",
                    (94.7, 88.4, 92.7, 96.7, 93.1),
                    "skywork-reward-llama-3.1-8b-v0.2",
                ),
                PublishedRow(
                    "QRM-Llama3.1-v2", "8B", (96.4, 86.8, 92.6, 96.8, 93.1), "qrm-llama3.1-8b-v2"
                ),
            ),
        ),
        (
            "Multimodal",
            (
                PublishedRow("Qwen2-VL", "7B", (65.1, 50.9, 55.8, 68.3, 60.0), "qwen2-vl-7b"),
                PublishedRow("InternVL3", "8B", (97.2, 50.4, 83.6, 83.9, 78.8), "internvl3-8b"),
                PublishedRow("Qwen2.5-VL", "7B", (94.3, 63.8, 84.1, 86.2, 82.1), "qwen2.5-vl-7b"),
                PublishedRow(
                    "IXC-2.5-Reward", "7B", (90.8, 83.8, 87.8, 90.0, 88.1), "ixc-2.5-reward-7b"
                ),
                PublishedRow(
                    "Skywork-VL Reward",
                    "7B",
                    (90.0, 87.5, 91.1, 91.8, 90.1),
                    "skywork-vl-reward-7b",
                ),
            ),
        ),
    ),
)

PUBLISHED = {table.benchmark: table for table in (VL_REWARDBENCH, REWARDBENCH)}
"""The published tables by the name of our benchmark."""
