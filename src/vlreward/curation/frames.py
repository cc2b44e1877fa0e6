"""Daft, as curation uses it: its tables, its plain functions over columns, its silence.

It computes in this process, unless `use_cluster` has said otherwise.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from vlreward.errors import ConfigError
from vlreward.extras import import_extra

Frame = Any
"""A `daft.DataFrame`."""

LOCAL = "local"


def daft() -> ModuleType:
    """Daft, which reports home and draws bars unless it is told not to."""
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    return import_extra("daft", extra="curate")


def shows_pictures() -> Any:
    """The expression that tells whether a row's prompt or answers show any.

    Not by `list_count`: for its argument Daft imports torch, and swallows an interrupt meanwhile.
    """
    return daft().col("pictures").length() > 0


def use_cluster(address: str) -> None:
    """From here on, Daft computes on a Ray cluster; nothing else does.

    Its workers must see the same files at the same paths. `address` is one as Ray takes it, such as
    `auto` or `host:6379`, or `local` for a Ray of this machine's own. Must come before the
    process's first table. Raises MissingExtraError without Ray, and ConfigError if the cluster
    cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import_extra("ray", extra="cluster")
    try:
        daft().set_runner_ray(None if address == LOCAL else address)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            "cluster-unreachable",
            value=address,
            place="--cluster",
            expected=f"the address of a Ray cluster that runs, or `{LOCAL}`",
            mend=f"Start one with `ray start --head`. Ray says: {error}",
        ) from error
