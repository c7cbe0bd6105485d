"""Stage `curate@A`: raw rows -> three splits, and an account of every row that is in none of them."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.curate import change, contamination, languages, summary, writing
from fineline.curate.audit import audit
from fineline.curate.card import render
from fineline.curate.chunk import Tally
from fineline.curate.croissant import describe
from fineline.curate.decide import decide
from fineline.curate.examine import Settings
from fineline.curate.privacy import Cleaner
from fineline.curate.progress import Rows
from fineline.curate.split import NAMES
from fineline.curate.table import Table
from fineline.curate.workers import examine_all
from fineline.errors import FinelineError, InputError
from fineline.project import layout, params
from fineline.project.params.curation import Curate
from fineline.project.versions import STAGES

_EXAMPLES = 3
_MANY = 0.02  # of the rows; so many linked ones are no chance


def run(name: str) -> None:
    """Curate the raw rows of adapter `name` into data/curated/<name>."""
    adapter = params.load().adapter(name)
    raw, tokenizer = layout.raw(name), layout.tokenizer(adapter.base)
    decided_by = adapter.curate.model_dump(exclude_unset=True, exclude_none=True)
    cleaner = Cleaner(adapter.curate.privacy)
    if cleaner.fingerprint is not None:
        decided_by["pseudonym_key"] = cleaner.fingerprint
    _check_rule(adapter.curate, cleaner, name)
    with artifacts.create(
        layout.curated(name),
        kind="training-data",
        name=name,
        stage="curate",
        version=STAGES["curate"],
        inputs={"raw": artifacts.used(raw), "tokenizer": artifacts.used(tokenizer)},
        parameters=decided_by,
    ) as directory:
        parts = reports.read(raw / "parts.json")
        before = _state(raw)
        report, tokens, seconds = _curate(adapter.curate, tokenizer, parts, raw, adapter.evaluate.guards, directory, name)
        if _state(raw) != before:
            raise FinelineError(f"{raw}: changed while it was being read; run again when nothing writes to it")
        files = artifacts.manifest(directory)
        (directory / "README.md").write_text(render(name, adapter, report, parts), encoding="utf-8")
        reports.write(directory / "croissant.json", describe(name, adapter, report, parts, files))
    _report(name, report, tokens, seconds)


def _curate(
    rule: Curate, tokenizer: Path, parts: dict[str, Any], raw: Path, suites: list[str], directory: Path, name: str
) -> tuple[dict[str, Any], Any, dict[str, float]]:
    """Fill the directory; returns the report, the lengths of the rows that stay, and the seconds of each step."""
    total = sum(part["rows"] for part in parts.values())
    layout.SCRATCH.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=layout.SCRATCH, prefix="curate.") as scratch, Rows(total) as progress:
        settings = Settings(rule, tokenizer, contamination.items_of(suites), parts, Path(scratch))
        files = {part: raw / f"{part}.jsonl" for part in parts}
        chunks = examine_all(settings, files, lambda chunk: progress.advance(chunk.tally.rows_in))
        tally = Tally()
        for chunk in chunks:
            tally.add(chunk.tally)
        _check_rejected(tally, rule.max_rejected, raw, Path(scratch), len(chunks))
        progress.step("gather")
        with Table(chunks, list(parts), Path(scratch)) as table:
            field = rule.split.stratify
            if field and len(table) and not table.stratum.any():
                where = f"adapters.{name}.curate.split.stratify"
                raise InputError(f"{where}: no row has a column {field!r}, nor a JSON completion with it")
            decision = decide(table, rule, [part["weight"] for part in parts.values()], progress.step)
            progress.step("write")
            writing.write(table, decision, len(chunks), Path(scratch), directory)
            progress.step("summarise")
            report = summary.summarise(table, decision, tally, rule, parts, suites)
            progress.step("audit")
            report["checks"] |= audit(directory, rule, settings.items, report["splits"])
            tokens = table.tokens[decision.kept]
    _check_splits(report, rule, name)
    _warn(report)
    return report, tokens, progress.seconds


def _warn(report: dict[str, Any]) -> None:
    linked = report["removed"]["linked"]
    if linked > _MANY * report["rows_in"]:
        print(
            f"warning: {linked:,} rows were left out because a similar row stands on another side of the split;"
            " if they are variants of one template, give them a `group`",
            flush=True,
        )


def _state(directory: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file."""
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(directory.iterdir())]


def _report(name: str, report: dict[str, Any], tokens: Any, seconds: dict[str, float]) -> None:
    where = layout.reports(name)
    tables = summary.tables(report, tokens)
    report = {"dataset": artifacts.read(layout.curated(name)).digest} | report
    report["change"] = change.since_last_commit(report, tables["lengths.csv"], where)
    drift = max(report["change"]["drift"].values()) if report["change"] else None
    report["checks"] |= {"drift": drift, "drift_limit": change.DRIFT_LIMIT}
    report["signals"]["source_shares"] = report["change"]["source_shares"] if report["change"] else []
    tables["change.csv"] = change.table(report["change"], report)
    columns = {"funnel.csv": ["step", "rows"], "lengths.csv": ["tokens", "rows"], "languages.csv": ["language", "rows"]}
    columns |= {"domains.csv": ["domain", "rows"], "change.csv": ["what", "before", "now"]}
    for file, rows in tables.items():
        _write_csv(where / "curation" / file, columns[file], rows)
    reports.write(where / "curation.json", report)
    took = sum(seconds.values())
    speed = {"seconds": round(took, 2), "rows_per_second": round(report["rows_in"] / took), "steps": seconds}
    reports.write(where / "curation" / "speed.json", speed)
    gone = ", ".join(f"{step.replace('_', ' ')} {rows:,}" for step, rows in report["removed"].items() if rows)
    print(f"{report['rows_in']:,} rows in, {report['kept']:,} kept; left out: {gone or 'none'}")
    sizes = report["splits"].items()
    print(", ".join(f"{split} {size['rows']:,} rows in {size['groups']:,} groups" for split, size in sizes))


def _write_csv(file: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _check_rejected(tally: Tally, limit: float, raw: Path, scratch: Path, chunks: int) -> None:
    if not tally.rows_in:
        raise InputError(f"{raw}: not one row")
    rejected = sum(rows for (step, _), rows in tally.left_out.items() if step == "rejected")
    if rejected / tally.rows_in > limit:
        raise InputError(
            f"{rejected:,} of {tally.rows_in:,} rows are unusable, more than `curate.max_rejected` ({limit:.1%}) allows:\n"
            f"{_examples(scratch, chunks)}\n"
            "mend the source, or raise the limit in params.yaml if they may be left out"
        )


def _examples(scratch: Path, chunks: int) -> str:
    found: list[str] = []
    for chunk in range(chunks):
        for line in (scratch / f"{chunk}.left_out").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["step"] == "rejected":
                found.append(f"  {entry['source']}: {entry['at']}: {entry['reason']}")
            if len(found) == _EXAMPLES:
                return "\n".join(found)
    return "\n".join(found)


def _check_rule(rule: Curate, cleaner: Cleaner, name: str) -> None:
    """What can be seen of a rule before any row."""
    kinds = {finding.kind for finding in cleaner.find(rule.system or "")}
    if kinds:
        raise InputError(f"adapters.{name}.curate.system: holds {', '.join(sorted(kinds))}, and would stand in every row")
    unknown = sorted(set(rule.quality.languages) - languages.known())
    if unknown:
        raise InputError(f"adapters.{name}.curate.quality.languages: {', '.join(unknown)} cannot be told; ISO 639-1 is needed")


def _check_splits(report: dict[str, Any], rule: Curate, name: str) -> None:
    step, most = max(report["removed"].items(), key=lambda item: item[1])
    gone = f"; most rows, {most:,} of {report['rows_in']:,}, were left out by `{step}`: see docs/curation.md" if most else ""
    wanted = {"train": 1.0, "validation": rule.split.validation, "test": rule.split.test}
    for split_name in NAMES:
        if wanted[split_name] and not report["splits"][split_name]["rows"]:
            remedy = f"raise `curate.split.{split_name}`, or set it to 0" if split_name != "train" else "lower the other shares"
            raise InputError(
                f"adapters.{name}: the {split_name} split is empty: {report['kept']:,} rows stay; add data, {remedy}{gone}"
            )
