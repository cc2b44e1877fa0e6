"""Where preferences are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vlreward.errors import ConfigError, require

Format = Literal[
    "auto",
    "vlreward",
    "trl",
    "sharegpt",
    "ms-swift",
    "neutral",
    "question",
    "llava-critic",
    "llava-critic-pointwise",
    "side-by-side",
    "ranked",
    "rated",
]

ExportForm = Literal["llamafactory", "ms-swift"]
"""Forms of other trainers that pairs can be written in."""

HUB_PREFIX = "hub:"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """One data set of preferences, in files or on the hub.

    Raises ConfigError if the fields contradict each other.
    """

    path: str
    """A .jsonl, .json or .parquet file, a folder or glob of them, or hub:owner/name."""
    format: Format = "auto"
    """The rows' form; auto tells it from the fields."""
    revision: str | None = None
    """Hub only: the commit, tag or branch to read; pin a commit to read the same rows again."""
    subset: str | None = None
    """Hub only: the data set's configuration, where it has several."""
    split: str | None = None
    """On the hub, the split to read (default train); in files, keep rows whose field `split` is
    this."""
    picture_folder: str | None = None
    """Where relative picture paths start (default: the folder of the data file)."""
    min_rating_gap: float = 0.0
    """Rated answers only: two make a pair if their ratings differ, and by at least this."""
    max_pairs_per_prompt: int = 4
    """Rated answers only: how many pairs a prompt gives, those with the widest gaps first."""
    limit: int | None = None
    """Read at most this many rows, refused ones included."""
    name: str | None = None
    """What pairs call their source (default: the row's own `source`, else the file's stem)."""

    def __post_init__(self) -> None:
        if not self.path.removeprefix(HUB_PREFIX).strip():
            raise ConfigError(
                "source-path-empty",
                value=repr(self.path),
                place="path",
                expected="a file, a folder, a glob or hub:owner/name",
                mend="Name the data to read.",
            )
        if self.limit is not None and self.limit < 1:
            raise ConfigError(
                "source-limit",
                value=self.limit,
                place="limit",
                expected="a number of rows of at least 1",
                mend="Leave the limit out to read everything.",
            )
        for name, low in (("min_rating_gap", 0), ("max_pairs_per_prompt", 1)):
            value = getattr(self, name)
            require(value >= low, place=name, value=value, expected=f"{low} or more")
        if not self.is_hub and (self.revision is not None or self.subset is not None):
            raise ConfigError(
                "source-hub-only",
                value=self.revision or self.subset,
                place="revision" if self.revision is not None else "subset",
                expected="nothing, as the data is in local files",
                mend=f"Leave it out, or read {HUB_PREFIX}owner/name.",
            )

    @property
    def is_hub(self) -> bool:
        """Whether the data lies on the hub."""
        return self.path.startswith(HUB_PREFIX)
