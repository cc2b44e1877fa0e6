"""What collation lets a user choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vlreward.errors import require

Overflow = Literal["truncate", "refuse"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CollationConfig:
    """Lengths, picture sizes and packing."""

    max_length: int = 8192
    """Most tokens of one prompt with one response, pictures included (our choice; the paper's
    is not published)."""
    overflow: Overflow = "truncate"
    """What happens to a longer row: its response loses words at its end (never a picture), or
    the row is refused. Both are reported by row."""
    min_pixels: int | None = None
    """Smallest picture area after resizing; unset means the checkpoint's own."""
    max_pixels: int | None = None
    """Largest picture area after resizing; unset means the checkpoint's own (the paper's is not
    published)."""
    token_budget: int = 16384
    """Most tokens of one packed row; a single comparison that is longer gets a row of its own."""

    def __post_init__(self) -> None:
        for name in ("max_length", "token_budget", "min_pixels", "max_pixels"):
            value = getattr(self, name)
            require(value is None or value >= 1, place=name, value=value, expected="1 or more")
        if self.min_pixels is not None and self.max_pixels is not None:
            expected = f"at most max_pixels, which is {self.max_pixels}"
            holds = self.min_pixels <= self.max_pixels
            require(holds, place="min_pixels", value=self.min_pixels, expected=expected)
