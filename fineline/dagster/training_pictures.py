"""A training, drawn: both losses over the steps, and the learning rate on an axis of its own."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from fineline.dagster.drawing import canvas, picture

Columns = Mapping[str, Sequence[float]]

TRAINING, VALIDATION, RATE = "#4c72b0", "#c44e52", "#999999"


def columns(file: Path) -> dict[str, list[float]]:
    """The columns of a CSV of numbers, each in the order of the lines; empty if there is no file or no line."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    return {name: [float(line[name]) for line in lines] for name in lines[0]} if lines else {}


def losses(training: Columns, validation: Columns) -> dg.MarkdownMetadataValue:
    """Loss per learned token over steps; `learning_rate` is drawn where `training` has it."""
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
    return picture(figure, "loss over steps")
