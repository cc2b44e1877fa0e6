"""Line drawings: overlapping circles, crossing lines, grids, circled letters."""

from __future__ import annotations

import math
import random
from itertools import pairwise, product

from vlreward.world.canvas import Canvas, Point
from vlreward.world.scenes import Answer, Painter, Question, Scene, difficulty_of
from vlreward.world.style import COLOUR_NAMES, Style
from vlreward.world.wording import number_of, sentence, with_article

_LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ"
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def overlapping_circles(rng: random.Random) -> Painter:
    """Whether two rings overlap, from far apart to deep in each other."""
    text = rng.choice(("Do the two circles overlap?", "Are the two circles overlapping?"))

    def paint(rng: random.Random, style: Style) -> Scene:
        overlaps = rng.random() < 0.5
        share = rng.uniform(0.15, 0.6)
        canvas = Canvas(rng.randint(84, 140), rng.randint(84, 140), style)
        names = rng.sample(COLOUR_NAMES, 2)
        _draw_two_rings(rng, canvas, names, overlap=share if overlaps else -share)
        said = "The two circles overlap." if overlaps else "The two circles do not overlap."
        answer = Answer(value="Yes" if overlaps else "No", sentence=said)
        circles = " and ".join(with_article(f"{name} circle") for name in names)
        return Scene(
            paintings=(canvas.finish(),),
            facts=(sentence(circles), said),
            questions=(Question(skill="perception", text=text, answer=answer),),
            difficulty=difficulty_of(-share, (-0.4, -0.2)),
        )

    return paint


def crossing_lines(rng: random.Random) -> Painter:
    """How many times two bent lines cross: never, once or twice."""
    names = rng.sample(COLOUR_NAMES, 2)
    text = rng.choice(
        (
            f"How many times do the {names[0]} and the {names[1]} line cross?",
            f"How often does the {names[0]} line cross the {names[1]} one?",
        )
    )

    def paint(rng: random.Random, style: Style) -> Scene:
        wanted = rng.randint(0, 2)
        width, height = rng.randint(98, 140), rng.randint(84, 140)
        first, second = _bent_lines(rng, width, height, num_crossings=wanted)
        canvas = Canvas(width, height, style)
        for name, points in zip(names, (first, second), strict=True):
            with canvas.part_of(f"{name} line {wanted}"):
                canvas.line(points, colour=style.palette[name])
        times = ("do not cross", "cross once", "cross twice")[wanted]
        said = f"The lines {times}."
        question = Question(
            skill="counting", text=text, answer=Answer(value=str(wanted), sentence=said)
        )
        lines = " and ".join(with_article(f"{name} line") for name in names)
        return Scene(
            paintings=(canvas.finish(),),
            facts=(sentence(lines), said),
            questions=(question,),
            difficulty=difficulty_of(wanted, (0, 1)),
        )

    return paint


def grids(rng: random.Random) -> Painter:
    """How many rows and columns a grid has, and how many cells."""
    both = rng.choice(
        ("How many rows and columns does the grid have?", "Count the rows and columns.")
    )
    asks_for_cells = rng.random() < 0.5

    def paint(rng: random.Random, style: Style) -> Scene:
        rows, columns = rng.randint(2, 6), rng.randint(2, 6)
        canvas = Canvas(rng.randint(98, 154), rng.randint(98, 154), style)
        _draw_grid(rng, canvas, rows=rows, columns=columns)
        size = f"{number_of(rows, 'row', 'rows')} and {number_of(columns, 'column', 'columns')}"
        said = f"The grid has {size}."
        questions = [
            Question(skill="counting", text=both, answer=Answer(value=size, sentence=said))
        ]
        if asks_for_cells:
            cells = rows * columns
            answer = Answer(
                value=str(cells),
                sentence=f"The grid has {cells} cells.",
                steps=(said, f"{rows} × {columns} = {cells}."),
            )
            text = "How many cells does the grid have?"
            questions.append(Question(skill="arithmetic", text=text, answer=answer))
        return Scene(
            paintings=(canvas.finish(),),
            facts=(said,),
            questions=tuple(questions),
            difficulty=difficulty_of(max(rows, columns), (3, 4)),
        )

    return paint


def circled_letters(rng: random.Random) -> Painter:
    """Which letter of a row is circled, and which ones there are."""
    length = rng.randint(3, 5)
    text = rng.choice(("Which letter is circled?", "Which letter has a ring around it?"))

    def paint(rng: random.Random, style: Style) -> Scene:
        letters = rng.sample(_LETTERS, length)
        place = rng.randrange(length)
        size = rng.uniform(18, 25)
        canvas = Canvas(round(size * 1.15 * length + 24), rng.randint(56, 98), style)
        step = (canvas.width - 24) / length
        for index, letter in enumerate(letters):
            centre = (12 + (index + 0.5) * step, canvas.height / 2)
            is_circled = index == place
            with canvas.part_of(f"{letter} {_ORDINALS[index]} {'circled' if is_circled else ''}"):
                canvas.text(centre, letter, size=size)
                if is_circled:
                    ring = style.palette[rng.choice(COLOUR_NAMES)]
                    canvas.ellipse(centre, (0.52 * step + 1.5, 0.85 * size), outline=ring)
        letters_said = " ".join(letters)
        ordinal = _ORDINALS[place]
        steps = (f"The letters are {letters_said}.", f"The ring is around the {ordinal} letter.")
        answer = Answer(
            value=letters[place], sentence=f"The letter {letters[place]} is circled.", steps=steps
        )
        read = Answer(value=letters_said, sentence=f"The letters are {letters_said}.")
        return Scene(
            paintings=(canvas.finish(),),
            facts=(*steps, answer.sentence),
            questions=(
                Question(skill="reading", text=text, answer=answer),
                Question(skill="reading", text="Which letters are printed?", answer=read),
            ),
            difficulty=difficulty_of(length, (3, 4)),
        )

    return paint


def _draw_two_rings(
    rng: random.Random, canvas: Canvas, names: list[str], *, overlap: float
) -> None:
    """Two rings about the middle; `overlap` is a share of the smaller radius, negative apart."""
    radii = [rng.uniform(0.14, 0.2) * min(canvas.width, canvas.height) for _ in range(2)]
    half = (sum(radii) - overlap * min(radii)) / 2
    angle = rng.uniform(0, math.tau)
    for sign, radius, name in zip((-1, 1), radii, names, strict=True):
        x = canvas.width / 2 + sign * half * math.cos(angle)
        y = canvas.height / 2 + sign * half * math.sin(angle)
        with canvas.part_of(f"{name} circle {'overlap' if overlap > 0 else 'apart'}"):
            canvas.circle((x, y), radius, outline=canvas.style.palette[name])


def _bent_lines(
    rng: random.Random, width: int, height: int, *, num_crossings: int
) -> tuple[list[Point], list[Point]]:
    """Two lines of three points from left to right that cross so often, and clearly."""
    xs = [0.08 * width, width * rng.uniform(0.4, 0.6), 0.92 * width]
    while True:
        first, second = ([rng.uniform(0.1, 0.9) * height for _ in xs] for _ in range(2))
        gaps = [one - other for one, other in zip(first, second, strict=True)]
        crossings = sum(before * after < 0 for before, after in pairwise(gaps))
        if crossings == num_crossings and min(map(abs, gaps)) > 0.12 * height:
            return list(zip(xs, first, strict=True)), list(zip(xs, second, strict=True))


def _draw_grid(rng: random.Random, canvas: Canvas, *, rows: int, columns: int) -> None:
    """A grid of lines; some cells are filled, so that colour tells nothing."""
    low, high = 8.0, 8.0
    across, down = (canvas.width - 2 * low) / columns, (canvas.height - 2 * high) / rows
    fill = canvas.style.palette[rng.choice(COLOUR_NAMES)]
    filled = rng.choice((0.0, 0.0, 0.3))
    ink = canvas.style.ink
    with canvas.part_of(f"{rows} rows {columns} columns"):
        for row, column in product(range(rows), range(columns)):
            if rng.random() < filled:
                corner = (low + column * across, high + row * down)
                canvas.rectangle(corner, (corner[0] + across, corner[1] + down), fill=fill)
        for row in range(rows + 1):
            y = high + row * down
            canvas.line([(low, y), (canvas.width - low, y)], colour=ink)
        for column in range(columns + 1):
            x = low + column * across
            canvas.line([(x, high), (x, canvas.height - high)], colour=ink)
