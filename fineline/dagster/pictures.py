"""Pictures for the browser, drawn without a display and shown as PNG inside Markdown; and the one of a training."""

import base64
import csv
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from fineline.dagster.metadata import Metadata, report_file
from fineline.dagster.stages import Stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
