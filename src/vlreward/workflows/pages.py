"""What our HTML pages share: one file that asks nothing of a network, on any width of screen."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

from vlreward.errors import PictureError
from vlreward.pictures import open_rgb, read_bytes
from vlreward.records import Part, Picture, Prompt
from vlreward.statistics import Interval

_LARGEST_SIDE = 720
_MOST_BYTES = 200_000
_LONGEST_TEXT = 6000
_STYLE = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
td:first-child { overflow-wrap: anywhere; min-width: 9rem; }
tr.group td { font-weight: 600; padding-top: .75rem; } tr.quoted td { color: #777; }
img { max-width: 100%; } .shown img { height: 9rem; max-width: 100%; background: #fff; }
.shown img { object-fit: contain; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.plots { gap: 1rem; align-items: start; } .plots img { width: 100%; max-width: 36rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin: .5rem 0 2rem; }
.pair > div { border-left: 4px solid #3a7d44; padding: 0 .75rem; overflow-wrap: anywhere; }
.pair > div { min-width: 0; }
.pair > div + div { border-color: #b3402f; } .reward { font-weight: 600; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; overflow-y: auto; }
.wide { overflow-x: auto; } small { white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8882; padding: .5rem .75rem; }
.note { color: #777; font-size: .875rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { .pair { grid-template-columns: 1fr; } body { padding: .75rem; } }
"""

escape = html.escape


def page(title: str, sections: Iterable[str]) -> str:
    """A whole page; `title` is text, the sections are markup."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: vlreward</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(sections)}</body></html>"
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts as headings and markup as cells, which scrolls where it is too wide."""
    return table_of_rows(headings, (row(cells) for cells in rows))


def table_of_rows(headings: Sequence[str], rows: Iterable[str]) -> str:
    """`table` for rows that are markup already."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )


def row(cells: Sequence[str], *, kind: str = "") -> str:
    """A table's row of markup; `kind` is its class."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<tr{attribute}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def group_row(title: str, *, num_columns: int) -> str:
    """A row that says what the rows below it are."""
    return f'<tr class="group"><td colspan="{num_columns}">{escape(title)}</td></tr>'


def share(value: float | None, interval: Interval | None, *, in_per_cent: bool = False) -> str:
    """A share with its interval; a dash for none."""
    if value is None:
        return "—"
    scale, places = (100, 1) if in_per_cent else (1, 3)
    said = f"{scale * value:.{places}f}"
    if interval is None:
        return said
    low, high = (scale * bound for bound in interval)
    return f"{said} <small>[{low:.{places}f}, {high:.{places}f}]</small>"


def image(data: bytes, description: str) -> str:
    """A picture file in the page itself."""
    kind = "jpeg" if data.startswith(b"\xff\xd8") else "webp" if data[8:12] == b"WEBP" else "png"
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{escape(description)}" src="data:image/{kind};base64,{encoded}">'


def picture(one: Picture) -> str:
    """A record's picture; a large one is made smaller."""
    data = read_bytes(one)
    if max(one.width, one.height) > _LARGEST_SIDE or len(data) > _MOST_BYTES:
        small = open_rgb(one)
        small.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
        file = io.BytesIO()
        small.save(file, format="JPEG", quality=85)
        data = file.getvalue()
    return image(data, f"{one.width} by {one.height} pixels")


def conversation(prompt: Prompt) -> str:
    """What was asked: each turn's pictures and text, with who speaks where there are several."""
    messages = prompt.messages
    return "".join(
        content((f"{one.role}: ", *one.content) if len(messages) > 1 else one.content)
        for one in messages
    )


def content(parts: tuple[Part, ...]) -> str:
    """The pictures, then the text."""
    shown = "".join(_shown(part) for part in parts if isinstance(part, Picture))
    text = "".join(part for part in parts if isinstance(part, str)).strip()
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"
    pictures = f'<div class="shown">{shown}</div>' if shown else ""
    return f'{pictures}<div class="text">{escape(text)}</div>'


def _shown(one: Picture) -> str:
    try:
        return picture(one)
    except PictureError as error:
        return f"<p>{escape(error.code)}</p>"
