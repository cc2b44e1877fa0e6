"""Tables in Markdown, and text that Markdown shows as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows as a table, each as long as the header; what is in the cells is escaped."""
    lines = [_line(header), "|---" * len(header) + "|", *map(_line, rows)]
    return "\n".join(lines)


def escape(text: str) -> str:
    """The text as Markdown shows it in a cell or on a line: white space evened out."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(escape(str(cell)) for cell in cells)} |"
