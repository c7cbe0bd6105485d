"""Raw and curated rows: how many came in, how many stayed, why the rest did not, and what those that stayed are like."""

from pathlib import Path
from typing import Any

import dagster as dg

from fineline.dagster import data_checks, data_columns, data_tables
from fineline.dagster.data_pictures import counts, funnel, makeup
from fineline.dagster.display import Display, Displays, Metadata
from fineline.dagster.records import json_object, made, nested_numbers, report, report_file, table
from fineline.dagster.stages import Stage
from fineline.project import layout

PLOTS = "curation"
SAMPLE_COLUMNS = {"prompt": "string", "completion": "string", "source": "string"}


def raw(stage: Stage) -> Metadata:
    """The record of the raw rows, and what each part brought."""
    shown = made(stage)
    parts = json_object(stage, stage.root / layout.raw(stage.subject) / "parts.json")
    if not parts:
        return shown
    files = {part: stage.root / layout.raw(stage.subject) / f"{part}.jsonl" for part in parts}
    shown |= _columns(data_columns.raw({part: file for part, file in files.items() if file.exists()}))
    shown |= _shown(data_tables.parts(parts))
    shown["source_files"] = sum(len(facts["files"]) for facts in parts.values())
    for name in ("rows", "unreadable"):
        shown[name] = sum(facts[name] for facts in parts.values())
        shown |= {f"{part}/{name}": facts[name] for part, facts in parts.items()}
    return shown


def curated(stage: Stage) -> Metadata:
    """The record of the curated rows, what curation did as pictures and tables, ten of the rows, and every number."""
    curation, change = report(stage, data_checks.REPORT), report(stage, data_checks.CHANGE)
    if not curation:
        return made(stage)
    splits = curation.get("splits", {})
    train = stage.root / layout.curated(stage.subject) / "train.jsonl"
    samples = data_tables.samples(train, splits.get("train", {}).get("rows", 0))
    numbers = {name: value for name, value in curation.items() if name not in ("splits", "reasons")}
    description = json_object(stage, stage.root / layout.curated(stage.subject) / "croissant.json")
    return {
        **made(stage),
        **_columns(data_columns.curated(description)),
        **_pictures(stage, curation),
        **_shown(data_tables.curation(curation, change)),
        **_shown({"changes": (data_tables.changes(_plot(stage, "change")), data_tables.CHANGE_COLUMNS)}),
        **_shown({"samples": (samples, SAMPLE_COLUMNS)}),
        **_paths(stage),
        **nested_numbers(numbers | {"change": change}),
        **nested_numbers(splits),
        "rare_phrases/count": len(curation.get("signals", {}).get("rare_phrases", [])),
    }


def _shown(tables: data_tables.Tables) -> Metadata:
    """The tables that have a row."""
    return {name: table(rows, columns) for name, (rows, columns) in tables.items() if rows}


def _columns(schema: dg.TableSchema) -> Metadata:
    """As the tab *Columns* of an asset takes them."""
    return {"dagster/column_schema": schema} if schema.columns else {}


def _pictures(stage: Stage, curation: dict[str, Any]) -> Metadata:
    shown: Metadata = {}
    if steps := counts(_plot(stage, "funnel")):
        shown["funnel"] = funnel(steps)
    lengths, languages, domains = (counts(_plot(stage, name)) for name in ("lengths", "languages", "domains"))
    if lengths or languages or domains:
        shown["makeup"] = makeup(lengths, curation.get("lengths", {}), languages, domains)
    return shown


def _paths(stage: Stage) -> Metadata:
    """Where to read on: the report, the dataset card, and the rows that were left out, changed or contradict each other."""
    curated = stage.root / layout.curated(stage.subject)
    files = [report_file(stage, data_checks.REPORT)]
    files += [
        curated / name for name in ("README.md", "croissant.json", "left_out.jsonl", "changed.jsonl", "label_noise.jsonl")
    ]
    return {
        f"path/{file.name}": dg.MetadataValue.path(file.relative_to(stage.root).as_posix()) for file in files if file.exists()
    }


def _plot(stage: Stage, name: str) -> Path:
    return report_file(stage, PLOTS) / f"{name}.csv"


DISPLAYS: Displays = {
    "ingest": Display(raw, kind="json", fetches=True),
    "curate": Display(curated, kind="json", checks=data_checks.CHECKS),
}
