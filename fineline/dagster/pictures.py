"""Pictures for the browser, drawn without a display and shown as PNG inside Markdown."""

import base64
import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from fineline.dagster.metadata import Metadata, report_file
from fineline.dagster.stages import Stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure
if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_PER_INCH = 90
TRAINING, VALIDATION, RATE = "#4c72b0", "#c44e52", "#999999"


def canvas(width: float, height: float) -> "Figure":
    """Return an empty figure, sizes in inches."""
    from matplotlib.figure import Figure  # only a step that draws imports it; no pyplot, so no display and no global state

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")


def picture(figure: "Figure", caption: str) -> dg.MarkdownMetadataValue:
    """Return the figure as metadata."""
    png = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a script that the font lacks shows boxes, and stays out of the log
        figure.savefig(png, format="png")
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})")


def numeric_columns(file: Path) -> dict[str, list[float]]:
    """Return the columns of a CSV of numbers, each in the order of the lines; empty if there is no file or no line."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    return {name: [float(line[name]) for line in lines] for name in lines[0]} if lines else {}


def losses(stage: Stage) -> Metadata:
    """Return the losses per learned token over steps, with the learning rate on a second axis where it was logged."""
    training, validation = (numeric_columns(report_file(stage, name)) for name in ("loss.csv", "validation_loss.csv"))
    if not training and not validation:
        return {}
    figure = canvas(7, 3.5)
    axes = figure.add_subplot(xlabel="step", ylabel="loss (learned tokens)")
    if training:
        axes.plot(training["step"], training["loss"], "-", label="training", color=TRAINING, linewidth=1.2)
    if validation:
        axes.plot(validation["step"], validation["loss"], "o-", label="validation", color=VALIDATION, markersize=4)
    lines = list(axes.lines)
    if "learning_rate" in training:
        rates = axes.twinx()
        rates.set_ylabel("learning rate", color=RATE)
        rates.ticklabel_format(axis="y", scilimits=(0, 0))
        lines += rates.plot(training["step"], training["learning_rate"], "--", label="learning rate", color=RATE, linewidth=1)
    axes.grid(alpha=0.3)
    axes.legend(handles=lines)
    return {"loss": picture(figure, "loss over steps")}


Counts = Sequence[tuple[str, int]]

LEFT, LOST = "#4c72b0", "#e2857b"
LONGEST_LABEL = 22
MOST_BARS = 8
MOST_TICKS = 5


def counts(file: Path) -> list[tuple[str, int]]:
    """Return (name, rows) of each line of a CSV with a header; empty if there is no file."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    return [(name, int(rows)) for name, rows in lines[1:]]


def lost_rows(steps: Counts) -> list[str]:
    """Return the text at each step: the rows left, and the difference from the step before."""
    texts = []
    for (_, before), (_, now) in pairwise([steps[0], *steps]):
        change = f"  {now - before:+,} ({(now - before) / before:+.1%})" if now != before else ""
        texts.append(f"{now:,}{change}".replace("-", "\N{MINUS SIGN}"))
    return texts


def most(bars: Counts, limit: int = MOST_BARS) -> list[tuple[str, int]]:
    """Return the largest bars, largest first; those beyond the limit are summed in the last."""
    ordered = sorted(bars, key=lambda bar: (-bar[1], bar[0]))
    if len(ordered) <= limit:
        return ordered
    rest = ordered[limit - 1 :]
    return [*ordered[: limit - 1], (f"{len(rest)} others", sum(rows for _, rows in rest))]


def edges(ends: Sequence[int]) -> list[float]:
    """Return the edges of bins from their ends; the first bin is as wide as the second, on a logarithmic scale."""
    ratio = ends[1] / ends[0] if len(ends) > 1 else 2
    return [ends[0] / ratio, *ends]


def short(label: str) -> str:
    """Return a label that leaves room for its bar."""
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def funnel(steps: Counts) -> dg.MarkdownMetadataValue:
    """Draw the rows left after each step, from the rows that came in to those that stayed."""
    before = [rows for _, rows in [*steps[:1], *steps[:-1]]]
    now = [rows for _, rows in steps]
    figure = canvas(8, 0.8 + 0.34 * len(steps))
    axes = figure.add_subplot(title=f"{now[-1]:,} of {now[0]:,} rows stayed; red is what a step left out")
    axes.barh(range(len(steps)), before, color=LOST, height=0.66)
    axes.barh(range(len(steps)), now, color=LEFT, height=0.66)
    ends = [max(pair) for pair in zip(before, now, strict=True)]
    _label(axes, [name.replace("_", " ") for name, _ in steps], ends, lost_rows(steps))
    return picture(figure, "rows left after each step of curation")


def makeup(lengths: Counts, marks: Mapping[str, Any], languages: Counts, domains: Counts) -> dg.MarkdownMetadataValue:
    """Draw lengths, languages and domains of the rows that stayed; those that are not known are left out.

    Args:
        lengths: (end, rows): the number of rows with fewer tokens than `end` and at least the end before.
        marks: The `median`, the `p95` and the `limit` of the lengths.
    """
    panels = [(title, most(bars)) for title, bars in (("Languages", languages), ("Domains", domains)) if bars]
    widths = [5.0] * bool(lengths) + [3.6] * len(panels)
    figure = canvas(sum(widths), 3.6)
    figure.set_layout_engine("constrained", w_pad=0.12)
    grid = list(figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0])
    if lengths:
        _draw_lengths(grid.pop(0), lengths, marks)
    for axes, (title, bars) in zip(grid, panels, strict=True):
        _draw_shares(axes, title, bars)
    return picture(figure, "lengths, languages and domains of the rows that stayed")


def _draw_lengths(axes: "Axes", lengths: Counts, marks: Mapping[str, Any]) -> None:
    between = edges([int(end) for end, _ in lengths])
    widths = [end - begin for begin, end in pairwise(between)]
    axes.set(title="Lengths", xlabel="tokens", ylabel="rows", xscale="log")
    axes.bar(
        between[:-1], [rows for _, rows in lengths], width=widths, align="edge", color=LEFT, edgecolor="white", linewidth=0.5
    )
    for name, style in (("median", "-"), ("p95", "--"), ("limit", ":")):
        axes.axvline(marks[name], linestyle=style, color="black", linewidth=1.2, label=f"{name} {marks[name]:,}")
    ticks = between[1 :: 1 + len(lengths) // MOST_TICKS]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.locator_params(axis="y", integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, frameon=False, fontsize=9)


def _draw_shares(axes: "Axes", title: str, bars: Counts) -> None:
    rows = [count for _, count in bars]
    shares = [count / sum(rows) for count in rows]
    axes.set_title(title)
    axes.barh(range(len(bars)), rows, color=LEFT, height=0.66)
    texts = [
        f"{count:,} ({share:.0%})" if share >= 0.01 else f"{count:,} (<1%)" for count, share in zip(rows, shares, strict=True)
    ]
    _label(axes, [name for name, _ in bars], rows, texts)
    axes.set_ylim(max(len(bars), MOST_BARS) - 0.5, -0.5)  # bars of one thickness, even if there are few


def _label(axes: "Axes", names: Sequence[str], ends: Sequence[int], texts: Sequence[str]) -> None:
    """Put names at the left of horizontal bars, the first on top, and a text at the end of each."""
    axes.set_yticks(range(len(names)), [short(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, max(1, *ends))
    for position, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(text, (end, position), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.xaxis.set_visible(False)
    axes.tick_params(left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
