"""What the tests of evaluation are made from: rows of each benchmark, outcomes, examples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.sources.making import write_pictures, write_rows
from vlreward.evaluation.benchmarks.rewardbench import SECTIONS
from vlreward.evaluation.examples import Example
from vlreward.evaluation.outcomes import Outcome, Vote
from vlreward.records import Message, Picture, Prompt, Response

VL_PREFIXES = {
    "wildvision-battle-": 173,
    "VLFeedback-": 10,
    "RLAIF-V-": 233,
    "RLHF-V-": 68,
    "hallucination_pair-": 448,
    "mathverse_": 167,
    "mmmu_": 151,
}


def vl_row(row_id: str, *, first_is_better: bool = True, **changes: object) -> dict[str, object]:
    return {
        "id": row_id,
        "query": f"What is in {row_id}?",
        "response": ["A square.", "A circle, I think."],
        "image": "red.png",
        "human_ranking": [0, 1] if first_is_better else [1, 0],
        "models": ["one", "other"],
        **changes,
    }


def all_vl_rows() -> list[dict[str, object]]:
    """A row for each of VL-RewardBench's 1,250."""
    return [
        vl_row(f"{prefix}{number}", first_is_better=number % 2 == 0)
        for prefix, count in VL_PREFIXES.items()
        for number in range(count)
    ]


def write_vl(folder: Path, rows: Sequence[object]) -> Path:
    write_pictures(folder, "red", "blue", "green")
    return write_rows(folder / "rows.jsonl", *rows)


def reward_row(subset: str, row_id: int, **changes: object) -> dict[str, object]:
    return {
        "prompt": f"Do {subset} {row_id} with <image>.",
        "chosen": "Done.",
        "chosen_model": "good",
        "rejected": "No <image>.",
        "rejected_model": "bad",
        "subset": subset,
        "id": row_id,
        **changes,
    }


def reward_counts() -> dict[str, int]:
    """RewardBench's real numbers of rows."""
    weights = {name: n for found in SECTIONS.values() for name, n in found.items()}
    return {**weights, "math-prm": 447}


def all_reward_rows() -> Iterator[dict[str, object]]:
    for subset, count in reward_counts().items():
        yield from (reward_row(subset, number) for number in range(count))


def outcome(
    row_id: str,
    *,
    group: str = "g",
    subset: str | None = None,
    cluster: str | None = None,
    right: tuple[int, ...] = (0,),
    num_characters: tuple[int, ...] = (5, 5),
    **result: object,
) -> Outcome:
    return Outcome(
        id=row_id,
        fingerprint=f"content of {row_id}",
        cluster=cluster or row_id,
        group=group,
        subset=subset or group,
        right=right,
        num_characters=num_characters,
        **result,  # type: ignore[arg-type]
    )


def scored(row_id: str, *scores: float, **facts: object) -> Outcome:
    return outcome(row_id, scores=scores, num_characters=(5,) * len(scores), **facts)  # type: ignore[arg-type]


def voted(row_id: str, winners: Iterable[int | str | None], **facts: object) -> Outcome:
    """A text among the winners is why that reply could not be read."""
    votes = tuple(
        Vote(False, None, winner) if isinstance(winner, str) else Vote(False, winner)
        for winner in winners
    )
    return outcome(row_id, votes=votes, **facts)  # type: ignore[arg-type]


def counted(counts: Mapping[str, tuple[int, int]], *, groups: Mapping[str, str]) -> list[Outcome]:
    """Scored pairs, so many right of so many in each subset."""
    return [
        scored(
            f"{subset}/{number}",
            float(number < num_right),
            0.5,
            group=groups[subset],
            subset=subset,
        )
        for subset, (num_right, num_all) in counts.items()
        for number in range(num_all)
    ]


def read_json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


def example(
    name: str, *pictures: Picture, group: str = "g", texts: tuple[str, ...] = ("yes", "no?")
) -> Example:
    prompt = Prompt(messages=(Message(role="user", content=(name, *pictures)),))
    return Example(
        id=name,
        group=group,
        subset=group,
        cluster=prompt.id,
        prompt=prompt,
        responses=tuple(Response(content=(text,)) for text in texts),
        right=(0,),
    )
