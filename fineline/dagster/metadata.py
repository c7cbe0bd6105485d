"""Artifact records and reports as Dagster metadata.

A stage that DVC skips prints nothing, so everything shown is read from files; a file that does not exist shows nothing. Which
value of which report is shown, and how, is declared in `fineline.dagster.displays`, with the kinds of this module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from fineline import artifacts
from fineline.artifacts import provenance, reports
from fineline.dagster.stages import Stage
from fineline.errors import InputError
from fineline.project import layout

Metadata = dict[str, Any]
Source = Callable[[Stage], Metadata]
"""Where metadata come from: a `Shown`, or a function for what takes more than one value of a report."""
Kind = Callable[[Any], Metadata]
"""How a value is shown."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Shown:
    """The value at a dotted key of a report, shown as one kind of metadata; nothing where it does not exist."""

    report: str
    key: str
    """Empty for the whole report."""
    kind: Kind
    prefix: str = ""
    """Of the names."""

    def __call__(self, stage: Stage) -> Metadata:
        """Return the metadata of one stage."""
        value: Any = report(stage, self.report)
        for part in filter(None, self.key.split(".")):
            value = value.get(part) if isinstance(value, dict) else None
        return {f"{self.prefix}{name}": entry for name, entry in self.kind(value).items()} if value is not None else {}


def numbers(content: Mapping[str, Any]) -> Metadata:
    """Return the numbers among the values: Dagster plots each over the materializations."""
    return {name: value for name, value in content.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def nested_numbers(content: Mapping[str, Any]) -> Metadata:
    """Return the numbers at any depth, each named by its path: `lengths/median`."""
    found = numbers(content)
    for name, value in content.items():
        if isinstance(value, dict):
            found |= {f"{name}/{inner}": number for inner, number in nested_numbers(value).items()}
    return found


def scalars(content: Mapping[str, Any]) -> Metadata:
    """Return texts, numbers and booleans."""
    return {name: value for name, value in content.items() if isinstance(value, str | int | float)}


def texts(*names: str) -> Kind:
    """Return a kind that shows these values of an object."""
    return lambda content: {name: content[name] for name in names if content.get(name)}


def json_as(name: str) -> Kind:
    """Return a kind that shows a value as JSON."""
    return lambda content: {name: dg.MetadataValue.json(content)} if content else {}


def count_as(name: str) -> Kind:
    """Return a kind that shows how long a list is."""
    return lambda content: {name: len(content)}


def for_each(kind: Kind) -> Kind:
    """Return a kind that shows each value of an object, its name before theirs."""
    return lambda content: {f"{name}/{inner}": entry for name, value in content.items() for inner, entry in kind(value).items()}


def rows_as(
    name: str, columns: str, *, by: str | None = None, each: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> Kind:
    """Return a kind that shows a list of rows as a table, if there is a row.

    Args:
        columns: See `table`.
        by: The column of the keys where the rows are an object: `{"train": {"rows": 5}}`.
        each: Applied to each row first.
    """

    def kind(content: Any) -> Metadata:
        rows = [{by: key, **row} for key, row in content.items()] if by else content
        return {name: table([each(row) for row in rows] if each else rows, columns)} if rows else {}

    return kind


def table(rows: Rows, columns: str) -> dg.TableMetadataValue:
    """Return rows as a table.

    Args:
        columns: The names in the order shown, with a type where it is not string: `name rows:int`.
    """
    named = [name.partition(":") for name in columns.split()]
    schema = dg.TableSchema([dg.TableColumn(name, kind or "string") for name, _, kind in named])
    return dg.MetadataValue.table([dg.TableRecord({name: row.get(name) for name, _, _ in named}) for row in rows], schema)


def made(stage: Stage) -> Metadata:
    """Return what the artifact records among the stage's outs say, and whose they are.

    If there are several, each is shown under the name of its directory.
    """
    found = directories(stage)
    if not found:
        return {}
    if len(found) == 1:
        return _artifact(found[0]) | _ownership(stage)
    return {f"{path.name}/{name}": value for path in found for name, value in _artifact(path).items()} | _ownership(stage)


def directories(stage: Stage) -> list[Path]:
    """Return the artifacts among the stage's outs that exist."""
    return [stage.root / out for out in stage.outs if (stage.root / out / artifacts.RECORD).exists()]


def paths(stage: Stage, files: list[Path]) -> Metadata:
    """Return links to the files that exist."""
    found = {file.name: file.relative_to(stage.root).as_posix() for file in files if file.is_file()}
    return {f"path/{name}": dg.MetadataValue.path(path) for name, path in found.items()}


def report(stage: Stage, name: str) -> dict[str, Any]:
    """Return a report of the stage's adapter; empty if it does not exist."""
    return json_object(stage, report_file(stage, name))


def report_file(stage: Stage, name: str) -> Path:
    """Return the path of a report of the stage's adapter."""
    return stage.root / layout.reports(stage.subject) / name


def json_object(stage: Stage, file: Path) -> dict[str, Any]:
    """Return the JSON object in a file that the stage made; empty if it does not exist."""
    content = reports.read(file) if file.exists() else {}
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object; make it again with `dvc repro -f -s {stage.name}`")
    return content


def _artifact(directory: Path) -> Metadata:
    try:
        artifact = artifacts.read(directory)
    except InputError as error:
        return {"problem": str(error)}
    inputs = [{"role": role, "path": source.path, "digest": source.digest} for role, source in artifact.inputs.items()]
    return {
        "digest": artifact.digest,
        "bytes": sum(int(entry["size"]) for entry in artifact.files),
        "files": len(artifact.files),
        "inputs": table(inputs, "role path digest"),
    }


def _ownership(stage: Stage) -> Metadata:
    """Return owner, license and commit at the time of the run."""
    try:
        ran = provenance.read(stage.root / layout.provenance(stage.kind, stage.subject))
    except InputError as error:
        return {"problem": str(error)}
    return {} if ran is None else {"owner": ran.owner, "license": ran.license, **({"commit": ran.commit} if ran.commit else {})}
