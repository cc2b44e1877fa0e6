"""The page of an evaluation: our figures beside the published ones, plots, biases, mistakes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vlreward.durable import write_text_atomically
from vlreward.evaluation.benchmarks.catalogue import BENCHMARKS
from vlreward.evaluation.results import BucketFigure
from vlreward.evaluation.scorers.identity import endpoints_of
from vlreward.evaluation.statistics.bias import LengthBias, PositionBias
from vlreward.evaluation.statistics.paired import Difference
from vlreward.evaluation.statistics.shares import ClusteredShare
from vlreward.evaluation.tables import MeasuredRow, figure_names, is_turned, placed, remarks
from vlreward.sources.spec import describe_source
from vlreward.workflows.evaluation_files import RunFacts
from vlreward.workflows.evaluation_plots import plot_calibration, plot_figures, plot_rewards
from vlreward.workflows.measurements import Evaluation, Loaded, Measurement
from vlreward.workflows.mistakes import mistakes_section
from vlreward.workflows.pages import (
    escape,
    group_row,
    image,
    page,
    row,
    share,
    table,
    table_of_rows,
)


def write_report(path: Path, found: Evaluation, *, facts: RunFacts) -> None:
    """Writes the page, whole or not at all."""
    names = ", ".join(benchmark.title for benchmark in found.benchmarks)
    sections = [f"<h1>Evaluation on {escape(names)}</h1>", _summary(found), _missing(found)]
    for benchmark in found.benchmarks:
        sections += _benchmark(benchmark, found.of(benchmark))
    sections += _how(found, facts)
    write_text_atomically(path, page(f"Evaluation on {names}", sections))


def _summary(found: Evaluation) -> str:
    """The figure that stands for each benchmark, of every model."""
    mains: dict[str, set[str]] = defaultdict(set)
    for one in found.measurements:
        mains[one.benchmark.config.label].add(one.result.accuracy.main)
    rows: dict[str, dict[str, str]] = {}
    for one in found.measurements:
        label, main = one.benchmark.config.label, one.result.accuracy.main
        said = share(one.result.accuracy.value, one.result.intervals[main], in_per_cent=True)
        name = f" {escape(main)}" if len(mains[label]) > 1 else ""
        rows.setdefault(one.model.label, {})[label] = f"{said}{name}"
    labels = [one.config.label for one in found.benchmarks]
    titles = [_main_title(one, mains[one.config.label]) for one in found.benchmarks]
    return table(
        ["Model", *titles],
        (
            [escape(name), *(said.get(label, "—") for label in labels)]
            for name, said in rows.items()
        ),
    )


def _missing(found: Evaluation) -> str:
    """What keeps the figures from being results; nothing where they are."""
    lines = "".join(f"<li>{escape(one)}</li>" for one in found.shortfalls())
    said = "<p><b>Not all that was asked for is in these figures:</b></p>"
    return f"{said}<ul>{lines}</ul>" if lines else ""


def _main_title(benchmark: Loaded, mains: Collection[str]) -> str:
    """A benchmark with its figure, where that is the same for all models."""
    return f"{benchmark.title}, {next(iter(mains))}" if len(mains) == 1 else benchmark.title


def _benchmark(benchmark: Loaded, measurements: Sequence[Measurement]) -> Iterator[str]:
    rows = [one.row for one in measurements]
    yield f"<h2>{escape(benchmark.title)}</h2>"
    yield _figures_table(benchmark, rows)
    yield f'<p class="note">{"<br>".join(_notes(benchmark, rows))}</p>'
    yield f'<div class="plots">{_figures_plot(benchmark, rows)}</div>'
    for one in measurements:
        yield f"<h3>{escape(one.model.label)} on {escape(benchmark.title)}</h3>"
        yield from _model(one)


def _figures_table(benchmark: Loaded, rows: Sequence[MeasuredRow]) -> str:
    published = benchmark.published
    names = figure_names(rows, published)
    if is_turned(names, published):
        turned = ([escape(name), *(_figure(one, name) for one in rows)] for name in names)
        return table(["Figure", *(one.model for one in rows)], turned)
    beside, below = placed(rows, published)
    lines: list[str] = []

    def add(index: int, said: str = "") -> None:
        one = rows[index]
        cells = (_figure(one, name) for name in names)
        lines.append(row([f"{escape(one.model)}{said}", one.size, *cells]))

    for group, quoted in published.groups if published is not None else ():
        lines.append(group_row(f"{group} (published)", num_columns=len(names) + 2))
        for one in quoted:
            values = (f"{value:.1f}" for value in one.values)
            lines.append(row([escape(one.model), one.size, *values], kind="quoted"))
            for index in beside.get(one.word, ()):
                add(index, " <b>measured here</b>")
    if published is not None and below:
        lines.append(group_row("Measured here", num_columns=len(names) + 2))
    for index in below:
        add(index)
    return table_of_rows(["Model", "Size", *names], lines)


def _figure(one: MeasuredRow, name: str) -> str:
    return share(one.accuracy.figures.get(name), one.intervals.get(name), in_per_cent=True)


def _notes(benchmark: Loaded, rows: Sequence[MeasuredRow]) -> Iterator[str]:
    config = benchmark.config
    if benchmark.published is not None:
        yield f"Published: {escape(benchmark.published.source)}; not measured here."
    yield "In per cent, with 95 % bootstrap intervals, prompts resampled."
    sources = [describe_source(one) for one in (config.source, config.prior_sets) if one]
    if sources:
        yield f"Rows of {escape(', '.join(sources))}."
    rules = BENCHMARKS[config.name].arithmetic(config).protocol(config.protocol)
    if any(one.accuracy.protocol for one in rows):
        yield f"Protocol {escape(rules.name)}: {escape(rules.about)}."
    if benchmark.notes:
        yield f"{escape('; '.join(benchmark.notes))}."
    if refused := benchmark.rows.refused:
        reasons = Counter(error.code for error in refused).most_common()
        said = ", ".join(f"{code}: {number}" for code, number in reasons)
        first = escape(str(refused[0]))
        yield f"Rows that could not be read, by reason: {said}. The first: {first}"
    for one in rows:
        yield f"{escape(one.model)}: {escape(remarks(one))}."


def _figures_plot(benchmark: Loaded, rows: Sequence[MeasuredRow]) -> str:
    table_ = benchmark.published
    quoted = {one.word: one.values for one in table_.rows} if table_ else {}
    published = {
        index: dict(zip(table_.figures, quoted[one.word], strict=True))
        for index, one in enumerate(rows)
        if table_ is not None and one.word in quoted
    }
    return image(plot_figures(rows, published=published), "Figures by category, with intervals")


def _model(one: Measurement) -> Iterator[str]:
    plots = (
        (plot_rewards(one.outcomes), "Distributions of scores and of margins"),
        (plot_calibration(one.result.calibration), "How often the preferred response is right"),
    )
    shown = [image(data, description) for data, description in plots if data is not None]
    if shown:
        yield f'<div class="plots">{"".join(shown)}</div>'
    yield from _calibration(one)
    yield _drawn_to(one)
    if len(one.result.buckets) > 1:
        yield "<details><summary>By subset</summary>"
        yield _buckets(one.result.buckets)
        yield "</details>"
    yield from _failures(one)
    yield from mistakes_section(one)


def _calibration(one: Measurement) -> Iterator[str]:
    found = one.result.calibration
    if found is not None:
        yield (
            f'<p class="note">Over {found.num_pairs} pairs: expected calibration error '
            f"{found.error:.3f}, Brier score {found.brier:.3f}, mean of −log σ(margin) "
            f"{found.loss:.3f}.</p>"
        )


def _drawn_to(one: Measurement) -> str:
    """Biases, consistency and the use of pictures, as far as they apply."""
    result = one.result
    lines = [*_length_lines(result.length)]
    if result.position is not None:
        lines += _position_lines(result.position)
    if result.order is not None:
        lines.append(("same verdict when the order is turned", _share(result.order.same)))
    if result.pictures is not None:
        main = result.pictures.differences.get(result.accuracy.main)
        what = f"{result.accuracy.main}, own pictures less shuffled ones, points"
        lines.append((what, f"{_difference(main)} on {result.pictures.num_rows}"))
        lines.append(("same winner with shuffled pictures", _share(result.pictures.agreement)))
    said = [(escape(name), text) for name, text in lines if text != "—"]
    return table(["What it is drawn to", "per cent [95 %]"], said) if said else ""


def _length_lines(found: LengthBias) -> Iterator[tuple[str, str]]:
    yield "longer response is right", _share(found.longer_is_right)
    yield "longer response is preferred", _share(found.prefers_longer)
    yield "right where the longer is right", _share(found.right_where_longer)
    yield "right where the shorter is right", _share(found.right_where_shorter)
    value = found.correlation
    name = "rank correlation of differences in score and length"
    yield name, "—" if value is None else f"{value:+.3f} (from -1 to 1)"


def _position_lines(found: PositionBias) -> Iterator[tuple[str, str]]:
    yield "votes for what is shown first", _share(found.prefers_first)
    yield "votes right where the right one is shown first", _share(found.right_where_first)
    yield "votes right where it is shown second", _share(found.right_where_second)


def _share(found: ClusteredShare | None) -> str:
    """A share with its interval and what it is a share of."""
    if found is None:
        return "—"
    return f"{share(found.accuracy, found.interval, in_per_cent=True)} of {found.num_all}"


def _difference(found: Difference | None) -> str:
    if found is None:
        return "—"
    interval = found.interval
    bounds = (
        f" <small>[{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]</small>"
        if interval
        else ""
    )
    return f"{100 * found.value:+.1f}{bounds}"


def _buckets(found: Sequence[BucketFigure]) -> str:
    rows = (
        [
            escape(" / ".join(dict.fromkeys([one.bucket.group, one.bucket.subset]))),
            escape(one.bucket.kind),
            str(one.number),
            share(one.value, one.interval, in_per_cent=True),
        ]
        for one in found
    )
    return table(["subset", "of", "number", "per cent [95 %]"], rows)


def _failures(one: Measurement) -> Iterator[str]:
    for title, counts in (
        ("Rows without a result", one.result.failures),
        ("Replies that could not be read", one.result.unread),
    ):
        if counts:
            said = ", ".join(f"{escape(name)}: {number}" for name, number in counts.items())
            yield f"<p>{title}: {said}.</p>"


def _how(found: Evaluation, facts: RunFacts) -> Iterator[str]:
    packages = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    yield "<h2>How it was run</h2><p>First started as:</p>"
    yield f"<pre>{escape(facts.line)}</pre>"
    yield (
        f"<p>vlreward {escape(facts.version)}, Python {escape(facts.python)}, {escape(packages)}; "
        f"{escape(facts.platform)}. Seed {found.config.seed}, {found.config.num_resamples} "
        "resamples. The same command resumes in the same folder, and begins anew in another; every "
        "setting is in config.yaml beside this page, each row's result in rows/.</p>"
    )
    yield table(
        ["model on benchmark", "weights", "seconds", "dollars"],
        (
            [
                f"{escape(one.model.label)} on {escape(one.benchmark.title)}",
                escape(_weights(one)),
                f"{one.result.cost.seconds.total:.1f}" if one.result.cost.seconds else "—",
                f"{one.result.cost.dollars.total:.4f}" if one.result.cost.dollars else "—",
            ]
            for one in found.measurements
        ),
    )
    for name, money in found.money.items():
        yield (
            f"<p>All calls of {escape(name)}: ${money.billed:.4f} billed, "
            f"${money.maybe_billed:.4f} perhaps.</p>"
        )


def _weights(one: Measurement) -> str:
    said = [f"{name}: {told}" for name, told in one.weights.items()]
    said += [f"{end.model} at {end.base_url}" for end in endpoints_of(one.model.scorer)]
    return "; ".join(said)
