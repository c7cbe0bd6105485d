"""Base models, the memory forecast, and the training of adapters with its loss curves."""

import hashlib
from typing import Any

import dagster as dg

from fineline.dagster import training_checks
from fineline.dagster.display import GPU, Display, Displays, Metadata
from fineline.dagster.records import made, nested_numbers, report, report_file, table
from fineline.dagster.stages import Stage
from fineline.dagster.training_pictures import columns, losses
from fineline.project import layout

METHOD_COLUMNS = {
    "method": "string",
    "trained_parameters": "int",
    "memory_bytes": "int",
    "fits": "bool",
    "seconds": "float",
    "flops": "float",
}
FINDING_COLUMNS = {"severity": "string", "name": "string", "found": "string", "message": "string"}
ROW_COLUMNS = {"file": "string", "line": "int", "id": "string", "tokens": "int", "learned": "int"}


def base(stage: Stage) -> Metadata:
    """The record of the base model."""
    return made(stage)


def plan(stage: Stage) -> Metadata:
    """The settings that training will use, the method that is recommended and why, and what each method would need."""
    forecast = report(stage, "plan.json")
    shown: Metadata = {name: forecast[name] for name in ("configured", "recommended", "reason") if forecast.get(name)}
    if forecast.get("methods"):
        totals = [method.get("memory_bytes", {}).get("total") for method in forecast["methods"]]
        rows = [{**method, "memory_bytes": total} for method, total in zip(forecast["methods"], totals, strict=True)]
        shown["methods"] = table(rows, METHOD_COLUMNS)
    chosen = forecast.get("chosen", {})
    shown |= {f"chosen/{name}": value for name, value in chosen.items() if isinstance(value, str | int | float)}
    if chosen.get("memory_bytes"):
        shown |= {f"chosen/memory/{part}": size for part, size in chosen["memory_bytes"].items()}
    if forecast.get("device"):
        shown["device"] = dg.MetadataValue.json(forecast["device"])
    return shown


def adapter(stage: Stage) -> Metadata:
    """The record of the adapter, the numbers of its training, its loss curves, and what the preflight found."""
    training, validation = (columns(report_file(stage, name)) for name in ("loss.csv", "validation_loss.csv"))
    shown = made(stage)
    for name, value in nested_numbers(report(stage, training_checks.TRAINING)).items():
        shown[name.removesuffix("/value")] = value
    if training or validation:
        shown["loss"] = losses(training, validation)
    return shown | _preflight(stage)


def _preflight(stage: Stage) -> Metadata:
    """The findings, the longest rows, three rows as the model sees them, and the lengths."""
    content = report(stage, training_checks.PREFLIGHT)
    if not content:
        return {}
    findings = [{**finding, "found": _numbers_in_line(finding["found"])} for finding in content["findings"]]
    shown: Metadata = {"findings": table(findings, FINDING_COLUMNS)}
    if content["longest"]:
        shown["longest_rows"] = table(content["longest"], ROW_COLUMNS)
    if rendered := _rendered(stage, content["rendered"]):
        shown["rendered_rows"] = dg.MetadataValue.md(rendered)
    return shown | nested_numbers({"rows": content["rows"], "lengths": content["lengths"]})


def _numbers_in_line(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in nested_numbers(found).items())


def _rendered(stage: Stage, digest: str) -> str:
    """The rendering of the preflight that made the report; empty if it lies on another machine or is of another run."""
    file = stage.root / layout.rendered(stage.subject)
    content = file.read_bytes() if file.exists() else b""
    return content.decode() if hashlib.sha256(content).hexdigest() == digest else ""


DISPLAYS: Displays = {
    "base": Display(base, kind="huggingface", fetches=True),
    "plan": Display(plan, kind="json"),
    "train": Display(adapter, kind="peft", checks=training_checks.CHECKS, pool=GPU),
}
