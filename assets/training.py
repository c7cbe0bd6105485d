"""Base models, the memory forecast, and the training of adapters with its loss curves."""

import csv
from pathlib import Path

import dagster as dg

from assets.display import GPU, Display, Displays, Metadata
from assets.drawing import canvas, picture
from assets.records import made, numbers, report, report_file, table
from assets.stages import Stage

METHOD_COLUMNS = {"method": "string", "trained_parameters": "int", "memory_bytes": "int", "fits": "bool"}


def base(stage: Stage) -> Metadata:
    """The record of the base model."""
    return made(stage)


def plan(stage: Stage) -> Metadata:
    """The method that fits, why, and what each method would need."""
    forecast = report(stage, "plan.json")
    shown: Metadata = {name: forecast[name] for name in ("recommended", "reason") if forecast.get(name)}
    if forecast.get("methods"):
        totals = [method.get("memory_bytes", {}).get("total") for method in forecast["methods"]]
        rows = [{**method, "memory_bytes": total} for method, total in zip(forecast["methods"], totals, strict=True)]
        shown["methods"] = table(rows, METHOD_COLUMNS)
    if forecast.get("device"):
        shown["device"] = dg.MetadataValue.json(forecast["device"])
    return shown


def adapter(stage: Stage) -> Metadata:
    """The record of the adapter, the numbers of its training, and its loss curves."""
    shown = made(stage) | numbers(report(stage, "training.json"))
    curves = {
        "training": _curve(report_file(stage, "loss.csv")),
        "validation": _curve(report_file(stage, "validation_loss.csv")),
    }
    if any(curves.values()):
        shown["loss"] = _draw(curves)
    return shown


Curve = list[tuple[float, float]]


def _curve(file: Path) -> Curve:
    """(step, loss) of each row; empty if there is no file yet."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(stream)]


def _draw(curves: dict[str, Curve]) -> dg.MarkdownMetadataValue:
    figure = canvas(7, 3.5)
    axes = figure.add_subplot(xlabel="step", ylabel="loss (completion tokens)")
    for (label, curve), style in zip(curves.items(), ("-", "o-"), strict=True):
        if curve:
            axes.plot(*zip(*curve, strict=True), style, label=label, linewidth=1.2, markersize=4)
    axes.grid(alpha=0.3)
    axes.legend()
    return picture(figure, "loss over steps")


DISPLAYS: Displays = {
    "base": Display(base, kind="huggingface"),
    "plan": Display(plan, kind="json"),
    "train": Display(adapter, kind="peft", pool=GPU),
}
