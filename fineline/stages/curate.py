"""Stage `curate@A`: raw rows -> three splits, and an account of every row that is in none of them."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Input, reports
from fineline.curate import card, croissant, curation, summary
from fineline.curate.curation import Curated
from fineline.curate.privacy import Cleaner
from fineline.errors import parameters_of
from fineline.project import layout, params
from fineline.project.params import Adapter
from fineline.suites.guards import SuiteItem, items_of

COLUMNS = {
    "change.csv": ["what", "before", "now"],
    "domains.csv": ["domain", "rows"],
    "funnel.csv": ["step", "rows"],
    "languages.csv": ["language", "rows"],
    "lengths.csv": ["tokens", "rows"],
}
"""Table for `dvc plots` -> its columns."""


@dataclass(frozen=True)
class CurateInputs:
    """Everything that curation reads, and the places it writes to. Nothing below `run` opens anything else."""

    title: str
    """Name of the data set in its card."""
    adapter: Adapter
    """Rules, base, owner and license as params.yaml gives them."""
    raw: Path
    parts: Mapping[str, Any]
    """Part -> its entry in parts.json of the raw rows."""
    tokenizer: Path
    items: Sequence[SuiteItem]
    """Items of the guards."""
    sources: Mapping[str, Input]
    """Role -> artifact that the data set is made from."""
    parameters: Mapping[str, Any]
    """The parameters that were set, and the fingerprint of the pseudonym key if there is one."""
    reports: Path
    scratch: Path


def run(name: str) -> None:
    """Curate the raw rows of adapter `name` into data/curated/<name>."""
    target = layout.curated(name)
    with parameters_of(f"adapters.{name}"):
        inputs = read(name)
        sources, parameters = inputs.sources, inputs.parameters
        with artifacts.create(
            target, kind="training-data", name=name, stage="curate", inputs=sources, parameters=parameters
        ) as directory:
            curated = curate(inputs, directory)
        write_reports(inputs.reports, artifacts.read(target).digest, curated)
    _print(curated.report)


def read(name: str) -> CurateInputs:
    """Read and check what the curation of adapter `name` needs.

    Raises:
        InputError: Parameters, raw rows, the tokenizer or a suite are missing or cannot be used.
        Refused: A file is not as its artifact recorded it.
    """
    adapter = params.load_for(name).adapter(name)
    raw, tokenizer = layout.raw(name), layout.tokenizer(adapter.base)
    cleaner = Cleaner(adapter.curate.privacy)
    curation.check(adapter.curate, cleaner)
    parameters = adapter.curate.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    if cleaner.fingerprint is not None:
        parameters["pseudonym_key"] = cleaner.fingerprint
    return CurateInputs(
        title=name,
        adapter=adapter,
        raw=raw,
        parts=reports.read(raw / "parts.json"),
        tokenizer=tokenizer,
        items=items_of(adapter.evaluate.guards),
        sources={"raw": artifacts.used(raw), "tokenizer": artifacts.used(tokenizer)},
        parameters=parameters,
        reports=layout.reports(name),
        scratch=layout.SCRATCH,
    )


def curate(inputs: CurateInputs, directory: Path) -> Curated:
    """Fill an empty directory with the splits, the account of every other row, and the descriptions of the data set.

    Raises:
        InputError: The rows cannot be made into a data set by these rules.
        FinelineError: The raw rows changed meanwhile, or a process was killed.
    """
    adapter = inputs.adapter
    guards = adapter.evaluate.guards, inputs.items
    curated = curation.curate(
        adapter.curate, inputs.raw, inputs.parts, inputs.tokenizer, *guards, directory, inputs.scratch, adapter.curate.chat
    )
    files = artifacts.manifest(directory)
    text = card.render(inputs.title, adapter, curated.report, inputs.parts)
    (directory / "README.md").write_text(text, encoding="utf-8")
    described = croissant.describe(inputs.title, adapter, curated.report, inputs.parts, files)
    reports.write(directory / "croissant.json", described)
    return curated


def write_reports(where: Path, digest: str, curated: Curated) -> None:
    """Write curation.json, the tables, and what does not follow from the inputs: change.json, change.csv and speed.json.

    Args:
        where: Directory of the adapter's reports.
        digest: Digest of the data set.
    """
    report = {"dataset": digest} | curated.report
    tables = summary.tables(report, curated.tokens)
    changed = summary.since_last_commit(report, tables["lengths.csv"], where)
    tables["change.csv"] = summary.change_table(changed, report)
    for file, rows in tables.items():
        _write_csv(where / "curation" / file, COLUMNS[file], rows)
    reports.write(where / "curation.json", report)
    reports.write(where / "curation" / "change.json", changed)
    took = sum(curated.seconds.values())
    speed = {"seconds": round(took, 2), "rows_per_second": round(report["rows_in"] / took), "steps": curated.seconds}
    reports.write(where / "curation" / "speed.json", speed)


def _write_csv(file: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _print(report: dict[str, Any]) -> None:
    gone = ", ".join(f"{step.replace('_', ' ')} {rows:,}" for step, rows in report["removed"].items() if rows)
    print(f"{report['rows_in']:,} rows in, {report['kept']:,} kept; left out: {gone or 'none'}")
    if report["read"]:
        print("as read: " + ", ".join(f"{note.replace('_', ' ')} {rows:,}" for note, rows in report["read"].items()))
    unread = [
        f"{kind.replace('_', ' ')} " + ", ".join(f"{name} ({rows:,} rows)" for name, rows in names.items())
        for kind, names in report["unread"].items()
        if names
    ]
    if unread:
        print(f"not read: {'; '.join(unread)} (`fineline docs curation` lists what is read)")
    sizes = report["splits"].items()
    print(", ".join(f"{split} {size['rows']:,} rows in {size['groups']:,} groups" for split, size in sizes))
