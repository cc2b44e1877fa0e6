"""Rows that tests of whole runs curate, and the digests of what comes of them."""

from __future__ import annotations

import hashlib
from pathlib import Path


def row(
    number: str, prompt: str, chosen: str = "Yes.", rejected: str = "No.", **more: object
) -> dict[str, object]:
    """A plain row of preferences."""
    return {"id": number, "prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def digests(folder: Path) -> dict[str, str]:
    """The sha-256 of each Parquet file of a published set."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }
