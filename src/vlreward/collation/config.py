"""What collation lets a user choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class CollationConfig:
    """Lengths, picture sizes and packing."""

    max_length: int = 8192
    """Most tokens of one prompt with one response, pictures included (our choice; the paper's
    is not published)."""
    overflow: Literal["truncate", "refuse"] = "truncate"
    """What happens to a longer row: its response loses words at its end (never a picture), or
    the row is refused. Both are reported by row."""
    min_pixels: int | None = None
    """Smallest picture area after resizing; unset means the checkpoint's own."""
    max_pixels: int | None = None
    """Largest picture area after resizing; unset means the checkpoint's own (the paper's is not
    published)."""
    token_budget: int = 16384
    """Most tokens of one packed row; a single comparison that is longer gets a row of its own."""
