"""What the tests of steps that ask endpoints share: a judge model, and a bench with a journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlreward.curation.calls import Calls
from vlreward.curation.steps import Bench, Fitters
from vlreward.embedding.hashed import HashedEmbedder
from vlreward.generation.budget import Budget
from vlreward.generation.config import EndpointConfig
from vlreward.generation.journal import ReplyJournal


def judge_at(base_url: str, **settings: Any) -> EndpointConfig:
    """The world's judge, with prices."""
    return EndpointConfig(
        base_url=base_url,
        model="world-judge",
        max_concurrency=8,
        dollars_per_million_input_tokens=2.5,
        dollars_per_million_output_tokens=10.0,
        tokens_per_picture=100,
        max_output_tokens=100,
        **settings,
    )


@contextmanager
def bench(
    folder: Path,
    *,
    max_dollars: float | None = None,
    fitters: Fitters | None = None,
    needs_replies: bool = True,
) -> Iterator[Bench]:
    """A bench in the folder's `work`, its replies kept beside it."""
    with ReplyJournal(folder / "replies.sqlite") as journal:
        budget = Budget(max_dollars, spent=journal.money().total)
        calls = Calls(journal=journal, budget=budget, needs_replies=needs_replies)
        yield Bench(folder=folder / "work", embedder=HashedEmbedder(), calls=calls, fitters=fitters)
