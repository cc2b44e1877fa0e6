"""A data source in one word, for command lines: `path`, `path#split`, `hub:owner/name@revision`."""

from __future__ import annotations

from collections.abc import Sequence

from vlreward.sources.config import HUB_PREFIX, SourceConfig


def parse_source(source: str | SourceConfig) -> SourceConfig:
    """Reads `path[#split]` or `hub:owner/name[@revision][#split]`; a SourceConfig stays itself.

    What else a source can say (format, subset, picture folder, limit) goes into a configuration
    file.
    """
    if isinstance(source, SourceConfig):
        return source
    path, _, split = source.partition("#")
    revision = ""
    if path.startswith(HUB_PREFIX):
        path, _, revision = path.partition("@")
    return SourceConfig(path=path, split=split or None, revision=revision or None)


def parse_sources(
    sources: str | SourceConfig | Sequence[str | SourceConfig],
) -> tuple[SourceConfig, ...]:
    """Reads one source or several; see `parse_source`."""
    several = [sources] if isinstance(sources, (str, SourceConfig)) else sources
    return tuple(parse_source(source) for source in several)


def describe_source(source: SourceConfig) -> str:
    """The word that `parse_source` reads back, as far as a word can say it."""
    revision = f"@{source.revision}" if source.revision else ""
    split = f"#{source.split}" if source.split else ""
    return f"{source.path}{revision}{split}"
