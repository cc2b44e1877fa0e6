"""Daft, as curation uses it: its tables, its plain functions over columns, its silence."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from vlreward.extras import import_extra

Frame = Any
"""A `daft.DataFrame`."""


def daft() -> ModuleType:
    """Daft, which reports home and draws bars unless it is told not to."""
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    return import_extra("daft", extra="curate")
