"""Charts and tables with printed labels: bars, lines, pies, small tables."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import pairwise

from vlreward.world.canvas import Canvas
from vlreward.world.families.asked_values import AskValues
from vlreward.world.scenes import Answer, Painter, Question, Scene, difficulty_of
from vlreward.world.style import COLOUR_NAMES, Style

_LABEL_SETS = (
    ("A", "B", "C", "D", "E"),
    ("Mon", "Tue", "Wed", "Thu", "Fri"),
    ("Jan", "Feb", "Mar", "Apr", "May"),
    ("Ann", "Bob", "Eve", "Kim", "Tom"),
    ("tea", "milk", "rice", "salt", "oil"),
)
_LABEL_SIZE = 13.5
_TABLE_SIZE = 15.0


def bar_charts(rng: random.Random) -> Painter:
    """Which bar is longest or shortest, what one says, how far two differ, what two make."""
    labels = _labels(rng, rng.randint(3, 5))
    ask = AskValues.about(rng, labels, noun="bar", extreme="longest")

    def paint(rng: random.Random, style: Style) -> Scene:
        values = dict(zip(labels, _distinct(rng, len(labels), low=2, high=20), strict=True))
        canvas = Canvas(16 + 36 * len(labels), rng.randint(112, 154), style)
        _draw_bars(rng, canvas, values, ask=ask)
        return Scene(
            paintings=(canvas.finish(),),
            facts=tuple(f"{label} is {value}." for label, value in values.items()),
            questions=ask(values),
            difficulty=difficulty_of(len(labels), (3, 4)),
        )

    return paint


def line_charts(rng: random.Random) -> Painter:
    """A line over days or months: its highest point, and whether it rises or falls at the end."""
    labels = rng.choice(_LABEL_SETS[1:3])[: rng.randint(4, 5)]
    ask = AskValues.about(rng, labels, noun="point", extreme="highest")
    trend = f"Does the line rise or fall from {labels[-2]} to {labels[-1]}?"

    def paint(rng: random.Random, style: Style) -> Scene:
        values = dict(zip(labels, _distinct(rng, len(labels), low=2, high=20), strict=True))
        canvas = Canvas(34 * len(labels) + 12, rng.randint(112, 140), style)
        _draw_line_chart(rng, canvas, values, ask=ask)
        before, after = values[labels[-2]], values[labels[-1]]
        does = "rises" if after > before else "falls"
        answer = Answer(
            value=f"it {does}",
            sentence=f"The line {does} from {labels[-2]} to {labels[-1]}.",
            steps=(f"{labels[-2]} is {before}.", f"{labels[-1]} is {after}."),
        )
        return Scene(
            paintings=(canvas.finish(),),
            facts=tuple(f"{label} is {value}." for label, value in values.items()),
            questions=(*ask(values), Question(skill="perception", text=trend, answer=answer)),
            difficulty=difficulty_of(len(labels), (3, 4)),
        )

    return paint


def pie_charts(rng: random.Random) -> Painter:
    """Which slice is largest, and what share one has; the slices' colours are told by a legend."""
    labels = _labels(rng, rng.randint(3, 4))
    ask = AskValues.about(rng, labels, noun="slice", extreme="largest", unit="%")

    def paint(rng: random.Random, style: Style) -> Scene:
        shares = _shares(rng, len(labels))
        values = dict(zip(labels, shares, strict=True))
        canvas = Canvas(168, 140, style)
        colours = rng.sample(COLOUR_NAMES, len(labels))
        start = rng.uniform(0, 360)
        for index, (label, share) in enumerate(values.items()):
            end = start + 3.6 * share
            fill = style.palette[colours[index]]
            y = 70 + 34 * (index - (len(labels) - 1) / 2)
            with canvas.part_of(ask.phrase(label, values)):
                canvas.sector((56, 70), 50, start=start, end=end, fill=fill)
                canvas.rectangle((112, y - 12), (124, y + 12), fill=fill)
                canvas.text((145, y - 7), label, size=_LABEL_SIZE)
                canvas.text((145, y + 8), f"{share}%", size=_LABEL_SIZE)
            start = end
        return Scene(
            paintings=(canvas.finish(),),
            facts=tuple(
                f"{label} is {share}% and {colour}."
                for (label, share), colour in zip(values.items(), colours, strict=True)
            ),
            questions=ask(values),
            difficulty=difficulty_of(len(labels), (3, 3)),
        )

    return paint


def tables(rng: random.Random) -> Painter:
    """A table of names and numbers: what one says, which is largest, what two make."""
    labels = _labels(rng, rng.randint(3, 5))
    ask = AskValues.about(rng, labels, noun="number", extreme="largest")

    def paint(rng: random.Random, style: Style) -> Scene:
        values = dict(zip(labels, _distinct(rng, len(labels), low=2, high=60), strict=True))
        row_height = rng.uniform(24, 29)
        canvas = Canvas(rng.randint(112, 140), round(row_height * len(labels) + 12), style)
        middle = 0.55 * canvas.width
        for index, (label, value) in enumerate(values.items()):
            top = 6 + index * row_height
            canvas.rectangle((6, top), (canvas.width - 6, top + row_height))
            with canvas.part_of(ask.phrase(label, values)):
                canvas.text(((6 + middle) / 2, top + row_height / 2), label, size=_TABLE_SIZE)
                right = (middle + canvas.width - 6) / 2
                canvas.text((right, top + row_height / 2), str(value), size=_TABLE_SIZE)
        bottom = 6 + len(labels) * row_height
        canvas.line([(middle, 6), (middle, bottom)], colour=style.ink)
        return Scene(
            paintings=(canvas.finish(),),
            facts=tuple(f"{label} is {value}." for label, value in values.items()),
            questions=ask(values),
            difficulty=difficulty_of(len(labels), (3, 4)),
        )

    return paint


def _labels(rng: random.Random, count: int) -> tuple[str, ...]:
    return tuple(sorted(rng.sample(rng.choice(_LABEL_SETS), count)))


def _distinct(rng: random.Random, count: int, *, low: int, high: int) -> list[int]:
    return rng.sample(range(low, high + 1), count)


def _shares(rng: random.Random, count: int) -> list[int]:
    """Different multiples of 5 that make 100, none below 10."""
    while True:
        cuts = sorted(rng.sample(range(10, 95, 5), count - 1))
        shares = [after - before for before, after in pairwise((0, *cuts, 100))]
        if min(shares) >= 10 and len(set(shares)) == count:
            return shares


def _draw_bars(
    rng: random.Random, canvas: Canvas, values: Mapping[str, int], *, ask: AskValues
) -> None:
    """Bars on a base line, each with its label below and its value on top."""
    style = canvas.style
    base, top = canvas.height - 22, 22
    one_colour = rng.random() < 0.5
    names = (
        [rng.choice(COLOUR_NAMES)] * len(values)
        if one_colour
        else rng.choices(COLOUR_NAMES, k=len(values))
    )
    step = (canvas.width - 16) / len(values)
    for index, (label, value) in enumerate(values.items()):
        middle = 8 + (index + 0.5) * step
        high = base - (base - top) * value / max(values.values())
        fill = style.palette[names[index]]
        low, far = (middle - 0.33 * step, high), (middle + 0.33 * step, base)
        with canvas.part_of(ask.phrase(label, values)):
            canvas.rectangle(low, far, fill=fill, name="bar")
            canvas.text((middle, base + 11), label, size=_LABEL_SIZE)
            canvas.text((middle, high - 10), str(value), size=_LABEL_SIZE)
    canvas.line([(6, base), (canvas.width - 6, base)], colour=style.ink)


def _draw_line_chart(
    rng: random.Random, canvas: Canvas, values: Mapping[str, int], *, ask: AskValues
) -> None:
    """A line through points, each with its label below the axis and its value above itself."""
    style = canvas.style
    base, top = canvas.height - 28, 24
    step = (canvas.width - 12) / len(values)
    largest = max(values.values())
    points = [
        (6 + (index + 0.5) * step, base - (base - top) * value / largest)
        for index, value in enumerate(values.values())
    ]
    colour = style.palette[rng.choice(COLOUR_NAMES)]
    canvas.line(points, colour=colour)
    before = None
    for (x, y), (label, value) in zip(points, values.items(), strict=True):
        trend = "" if before is None else "rises" if value > before else "falls"
        before = value
        with canvas.part_of(f"{ask.phrase(label, values)} {trend}"):
            canvas.circle((x, y), 2.5, fill=colour)
            canvas.text((x, canvas.height - 11), label, size=_LABEL_SIZE)
            canvas.text((x, y - 11), str(value), size=_LABEL_SIZE)
    canvas.line([(6, base + 4), (canvas.width - 6, base + 4)], colour=style.ink)
