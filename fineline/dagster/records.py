"""What stages leave on disk, as Dagster metadata: artifact records and reports.

A stage that DVC skips prints nothing, so all that is shown is read from files; a file that is not there shows nothing.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from fineline import artifacts
from fineline.artifacts import reports
from fineline.dagster.display import Metadata
from fineline.dagster.stages import Stage
from fineline.errors import InputError
from fineline.project import layout


def made(stage: Stage) -> Metadata:
    """The artifact records among the stage's outs; with more than one, each under the name of its directory."""
    found = directories(stage)
    if len(found) == 1:
        return _artifact(found[0])
    return {f"{path.name}/{name}": value for path in found for name, value in _artifact(path).items()}


def directories(stage: Stage) -> list[Path]:
    """The artifacts among the stage's outs that are there."""
    return [stage.root / out for out in stage.outs if (stage.root / out / artifacts.RECORD).exists()]


def report(stage: Stage, name: str) -> dict[str, Any]:
    """A report of the stage's adapter; empty if there is none yet."""
    return json_object(stage, report_file(stage, name))


def report_file(stage: Stage, name: str) -> Path:
    """Where a report of the stage's adapter lies."""
    return stage.root / layout.reports(stage.subject) / name


def json_object(stage: Stage, file: Path) -> dict[str, Any]:
    """The JSON object in a file that the stage made; empty if there is none yet."""
    content = reports.read(file) if file.exists() else {}
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no JSON object; run `dvc repro -f -s {stage.name}` to make it anew")
    return content


def numbers(content: dict[str, Any], prefix: str = "") -> Metadata:
    """The numbers among the values: Dagster plots each over the materializations."""
    return {
        f"{prefix}{name}": value
        for name, value in content.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def nested_numbers(content: dict[str, Any], prefix: str = "") -> Metadata:
    """The numbers at any depth, each named by its path: `lengths/median`."""
    shown = numbers(content, prefix)
    for name, value in content.items():
        if isinstance(value, dict):
            shown |= nested_numbers(value, f"{prefix}{name}/")
    return shown


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> dg.TableMetadataValue:
    """Rows as a table; `columns` maps names to types (string, int, float, bool) in the order shown."""
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table([dg.TableRecord({name: row.get(name) for name in columns}) for row in rows], schema)


def _artifact(directory: Path) -> Metadata:
    try:
        artifact = artifacts.read(directory)
    except InputError as error:
        return {"problem": str(error)}
    return {
        "digest": artifact.digest,
        "owner": artifact.owner,
        "license": artifact.license,
        "bytes": sum(int(entry["size"]) for entry in artifact.files),
        "files": len(artifact.files),
        "inputs": table(
            [{"role": role, "path": source.path, "digest": source.digest} for role, source in artifact.inputs.items()],
            {"role": "string", "path": "string", "digest": "string"},
        ),
    }
