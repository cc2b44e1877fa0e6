"""Rehearse a paid run by hand: `python -m vlreward.world.endpoint --port 8000`."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from itertools import chain
from typing import Annotated

import tyro

from vlreward.errors import ConfigError
from vlreward.world.endpoint.config import WorldEndpointConfig
from vlreward.world.endpoint.protocol import MODELS
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import WorldTruth
from vlreward.world.preferences import make_pairs, make_text_pairs
from vlreward.world.style import Look
from vlreward.world.topics import Split


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Play the miniature world's models on a port until Ctrl-C, then show the bill.

    Known are the pairs that `make_pairs` and `make_text_pairs` draw with the same arguments.
    """

    num_pictures: int = 300
    """Least number of pictures."""
    num_text_pairs: int = 100
    """Pairs without pictures."""
    seed: int = 0
    """The world's."""
    split: Split = "train"
    """The world's."""
    look: Look = "seen"
    """The pictures'."""
    endpoint: Annotated[WorldEndpointConfig, tyro.conf.arg(name="")] = field(
        default_factory=WorldEndpointConfig
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs a rehearsal; returns the exit code: 2 for a wrong argument, 130 if cut short."""
    try:
        rehearsal = tyro.cli(Rehearsal, args=arguments, prog="python -m vlreward.world.endpoint")
        _run(rehearsal)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _run(rehearsal: Rehearsal) -> None:
    seed, split = rehearsal.seed, rehearsal.split
    pairs = make_pairs(
        num_pictures=rehearsal.num_pictures, seed=seed, split=split, look=rehearsal.look
    )
    texts = make_text_pairs(num_pairs=rehearsal.num_text_pairs, seed=seed, split=split)
    truth = WorldTruth(chain(pairs, texts))
    endpoint = WorldEndpoint(truth, rehearsal.endpoint)
    try:
        with endpoint:
            print(f"{endpoint.base_url} knows {truth.num_pictures} pictures; Ctrl-C ends it.")
            print(f"Models: {', '.join(MODELS)}.", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print()
    for model, bill in endpoint.bill.models.items():
        print(f"{model}: {bill.calls} calls, {bill.answered} answered, {bill.dollars:.4f} dollars")


if __name__ == "__main__":
    sys.exit(main())
